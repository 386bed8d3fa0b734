//! WebP encoder of libwebp. Only this file calls it.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::ffi::c_int;
use std::ptr;

use libwebp_sys as ffi;

use crate::colour::SrgbSquare;
use crate::error::Error;

/// Maximum side for `use_sharp_yuv`, in pixels: a chroma subsampling that preserves the brightness
/// of lines of one pixel. Such lines are visible in small pictures. In large ones it would take
/// as long as all other work together.
const TINY: u32 = 128;
/// Maximum side for [`SMALL_METHOD`], in pixels.
const SMALL: u32 = 256;
/// `method` of libwebp for small squares: 0 is the fastest, 6 the slowest. 5 adds trellis
/// quantisation.
const SMALL_METHOD: c_int = 5;
/// `method` for larger squares. Below 3, libwebp chooses block modes by distortion only. This takes
/// half the time.
///
/// At equal SSIMULACRA2 the four default sizes together have 2 to 6 % more bytes than with the
/// default, method 4. With method 2 for all sizes and the default filter they have 4 to 11 % more
/// (measured by `examples/effort.rs`).
const LARGE_METHOD: c_int = 2;
/// `filter_strength` of the loop filter for larger squares, 0 to 100. The default is 60. A stronger
/// filter compensates a part of the loss by [`LARGE_METHOD`].
const LARGE_FILTER: c_int = 80;
/// Number added to `quality`, 0 to 100, for squares above [`TINY`]. A quality is then not worse
/// than the same quality with method 4.
const GAIN: f32 = 1.0;

/// Encodes a square as a lossy WebP without metadata.
///
/// # Errors
/// [`Error::Encoder`] if the side is 0 or above 16,383, or libwebp runs out of memory.
pub(crate) fn encode(square: &SrgbSquare, quality: u8) -> Result<Vec<u8>, Error> {
    let mut config = ffi::WebPConfig::new()
        .map_err(|()| failed("libwebp and its bindings have different versions"))?;
    config.quality = f32::from(quality);
    // All other fields keep the defaults of `WebPConfigInit`, such as lossless alpha.
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
    // libwebp passes `custom_ptr` to the write function.
    picture.0.writer = Some(ffi::WebPMemoryWrite);
    picture.0.custom_ptr = ptr::from_mut(&mut writer.0).cast();
    // SAFETY: `config` and `picture` are initialised. `custom_ptr` is the `WebPMemoryWriter` that
    // `WebPMemoryWrite` expects, and it outlives the call.
    if unsafe { ffi::WebPEncode(&raw const config, &raw mut picture.0) } == 0 {
        return Err(failed("libwebp cannot encode the picture"));
    }
    Ok(writer.bytes())
}

/// Creates the error for a failed step.
const fn failed(what: &'static str) -> Error {
    Error::Encoder { what }
}

/// A `WebPPicture` with pixels in memory of libwebp. Frees them when dropped.
struct PictureGuard(ffi::WebPPicture);

impl PictureGuard {
    /// Copies the pixels of a square: as ARGB if `use_argb` is 1, or as YUV with subsampled chroma
    /// if it is 0.
    ///
    /// # Errors
    /// [`Error::Encoder`] if the pixels do not match the side, or libwebp runs out of memory.
    fn new(square: &SrgbSquare, use_argb: c_int) -> Result<Self, Error> {
        let side = c_int::try_from(square.side)
            .map_err(|_| failed("the side is too large for libwebp"))?;
        let channels = square.channels();
        let stride = c_int::try_from(square.side as usize * channels)
            .map_err(|_| failed("the side is too large for libwebp"))?;
        if square.pixels.len() != square.side as usize * square.side as usize * channels {
            return Err(failed("the number of pixels does not match the side"));
        }
        let mut picture = Self(ffi::WebPPicture::new().map_err(|()| failed("picture"))?);
        // libwebp subsamples chroma during the import unless the picture is ARGB. Then it does so
        // during the encoding, and only there `use_sharp_yuv` has an effect.
        picture.0.use_argb = use_argb;
        picture.0.width = side;
        picture.0.height = side;
        let import = if square.has_alpha {
            ffi::WebPPictureImportRGBA
        } else {
            ffi::WebPPictureImportRGB
        };
        // SAFETY: The picture is initialised, and `pixels` has `side` rows of `stride` bytes.
        if unsafe { import(&raw mut picture.0, square.pixels.as_ptr(), stride) } == 0 {
            return Err(failed("libwebp cannot import the pixels"));
        }
        Ok(picture)
    }
}

impl Drop for PictureGuard {
    fn drop(&mut self) {
        // SAFETY: `WebPPicture::new` initialised it, and it is freed once.
        unsafe { ffi::WebPPictureFree(&raw mut self.0) }
    }
}

/// A `WebPMemoryWriter`, the encoder's output in memory of libwebp. Frees it when dropped.
struct WriterGuard(ffi::WebPMemoryWriter);

impl WriterGuard {
    /// Creates a writer without output.
    fn new() -> Self {
        let mut writer = std::mem::MaybeUninit::uninit();
        // SAFETY: `WebPMemoryWriterInit` sets every field.
        Self(unsafe {
            ffi::WebPMemoryWriterInit(writer.as_mut_ptr());
            writer.assume_init()
        })
    }

    /// Copies the output.
    fn bytes(&self) -> Vec<u8> {
        // `from_raw_parts` does not accept a null pointer, not even for a length of 0.
        if self.0.mem.is_null() {
            return Vec::new();
        }
        // SAFETY: `mem` is not null, and valid for `size` bytes until the writer is cleared.
        unsafe { std::slice::from_raw_parts(self.0.mem, self.0.size) }.to_vec()
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        // SAFETY: `WebPMemoryWriterInit` initialised it, and it is cleared once.
        unsafe { ffi::WebPMemoryWriterClear(&raw mut self.0) }
    }
}
