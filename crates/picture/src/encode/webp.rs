//! Encoding of lossy WebP with libwebp. No other file calls its encoder.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::ffi::c_int;
use std::ptr;

use libwebp_sys as ffi;

use crate::colour::SrgbSquare;
use crate::error::Error;

/// Largest side, in pixels, for which chroma is subsampled with "sharp YUV".
///
/// Sharp YUV keeps the brightness of thin lines. This shows on tiny pictures. On larger ones it
/// takes as much time as all other steps together.
const TINY: u32 = 128;
/// Largest side, in pixels, that is encoded with [`SMALL_METHOD`].
const SMALL: u32 = 256;
/// libwebp's `method` (0 is fast, 6 compresses best) for small squares.
const SMALL_METHOD: c_int = 5;
/// libwebp's `method` for larger squares. It chooses modes by distortion alone and takes half the
/// time of method 4, the default of libwebp.
///
/// With it and [`LARGE_FILTER`], the four default sizes together are 2 to 6 % larger than with
/// method 4 at equal SSIMULACRA2. With method 2 for all sizes and the default filter, they are 4 to
/// 11 % larger (measured by `examples/effort.rs`).
const LARGE_METHOD: c_int = 2;
/// Strength of the loop filter, 0 to 100, for larger squares. It regains a part of the quality that
/// [`LARGE_METHOD`] loses.
const LARGE_FILTER: c_int = 80;
/// Number added to the quality (0 to 100) of squares larger than [`TINY`].
///
/// So the same quality setting looks at least as good as with method 4 for all sizes.
const GAIN: f32 = 1.0;

/// Encodes a square as lossy WebP without metadata chunks. `quality` is 1 to 100.
///
/// # Errors
/// [`Error::Encoder`] if libwebp fails, or the pixels do not fit the side.
pub(crate) fn encode(square: &SrgbSquare, quality: u8) -> Result<Vec<u8>, Error> {
    let mut config = ffi::WebPConfig::new()
        .map_err(|()| failed("libwebp and its bindings have different versions"))?;
    config.quality = f32::from(quality);
    if square.side <= TINY {
        config.use_sharp_yuv = 1;
    } else {
        config.quality = (config.quality + GAIN).min(100.0);
    }
    if square.side <= SMALL {
        config.method = SMALL_METHOD;
    } else {
        config.method = LARGE_METHOD;
        config.filter_strength = LARGE_FILTER;
    }
    // Sharp YUV does its own subsampling, so it needs RGB input.
    let mut picture = PictureGuard::new(square, config.use_sharp_yuv)?;
    let mut writer = WriterGuard::new();
    picture.0.writer = Some(ffi::WebPMemoryWrite);
    picture.0.custom_ptr = ptr::from_mut(&mut writer.0).cast();
    // SAFETY: `config` and `picture` are initialised, `writer` outlives the call and is what
    // `WebPMemoryWrite` takes for `custom_ptr`.
    if unsafe { ffi::WebPEncode(&raw const config, &raw mut picture.0) } == 0 {
        return Err(failed("libwebp cannot encode the picture"));
    }
    Ok(writer.bytes())
}

const fn failed(what: &'static str) -> Error {
    Error::Encoder { what }
}

/// The encoder's input in memory of libwebp. Freed on drop.
struct PictureGuard(ffi::WebPPicture);

impl PictureGuard {
    /// Copies the pixels of a square to libwebp.
    ///
    /// They stay RGB if `use_argb` is 1. Otherwise they are converted to YUV with chroma of half
    /// the width and height.
    ///
    /// # Errors
    /// [`Error::Encoder`] if the pixels do not fit the side, or libwebp cannot allocate memory.
    fn new(square: &SrgbSquare, use_argb: c_int) -> Result<Self, Error> {
        let side = c_int::try_from(square.side)
            .map_err(|_| failed("the side is too large for libwebp"))?;
        let channels = square.channels();
        let stride = c_int::try_from(square.side as usize * channels)
            .map_err(|_| failed("the side is too large for libwebp"))?;
        if square.pixels.len() != square.side as usize * square.side as usize * channels {
            return Err(failed("the number of pixels is not side × side"));
        }
        let mut picture = Self(
            ffi::WebPPicture::new()
                .map_err(|()| failed("libwebp and its bindings have different versions"))?,
        );
        picture.0.use_argb = use_argb;
        picture.0.width = side;
        picture.0.height = side;
        let import = if square.has_alpha {
            ffi::WebPPictureImportRGBA
        } else {
            ffi::WebPPictureImportRGB
        };
        // SAFETY: the picture is initialised, and `pixels` holds `side` rows of `stride` bytes.
        if unsafe { import(&raw mut picture.0, square.pixels.as_ptr(), stride) } == 0 {
            return Err(failed("libwebp cannot import the pixels"));
        }
        Ok(picture)
    }
}

impl Drop for PictureGuard {
    fn drop(&mut self) {
        // SAFETY: initialised by `WebPPictureInit`, and freed once.
        unsafe { ffi::WebPPictureFree(&raw mut self.0) }
    }
}

/// The encoder's output in memory of libwebp. Freed on drop.
struct WriterGuard(ffi::WebPMemoryWriter);

impl WriterGuard {
    fn new() -> Self {
        let mut writer = std::mem::MaybeUninit::uninit();
        // SAFETY: `WebPMemoryWriterInit` sets every field.
        Self(unsafe {
            ffi::WebPMemoryWriterInit(writer.as_mut_ptr());
            writer.assume_init()
        })
    }

    /// Copies the output. It is empty if nothing was written.
    fn bytes(&self) -> Vec<u8> {
        if self.0.mem.is_null() {
            return Vec::new();
        }
        // SAFETY: `mem` is valid for `size` bytes until the writer is cleared.
        unsafe { std::slice::from_raw_parts(self.0.mem, self.0.size) }.to_vec()
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        // SAFETY: initialised by `WebPMemoryWriterInit`, and cleared once.
        unsafe { ffi::WebPMemoryWriterClear(&raw mut self.0) }
    }
}
