//! WebP encoder. The only file that calls the encoder of libwebp.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::ffi::c_int;
use std::ptr;

use libwebp_sys as ffi;

use crate::colour::SrgbSquare;
use crate::error::Error;

/// Maximum side for "sharp YUV", a chroma subsampling that preserves brightness. In small pictures
/// a thin line of one pixel is visible. In larger ones it would take as long as the whole rest.
const TINY: u32 = 128;
/// Maximum side of a small square, which gets the slower method.
const SMALL: u32 = 256;
/// libwebp's method, 0 to 6, for small squares.
const SMALL_METHOD: c_int = 5;
/// Method for larger squares, and the strength of the loop filter, 0 to 100. The method decides by
/// distortion alone and takes half the time; the filter recovers a part of the loss. At equal
/// SSIMULACRA2 the four default sizes are together 2 to 6 % larger than with method 4, the default.
/// With method 2 for all sizes and the default filter it is 4 to 11 % (`examples/effort.rs`).
const LARGE_METHOD: c_int = 2;
const LARGE_FILTER: c_int = 80;
/// Added to the quality, 0 to 100, of all but tiny squares. So a quality means at least what it
/// means with method 4.
const GAIN: f32 = 1.0;

/// Encodes a lossy WebP that has only the chunks of the picture.
pub(crate) fn encode(square: &SrgbSquare, quality: u8) -> Result<Vec<u8>, Error> {
    let mut config = ffi::WebPConfig::new().map_err(|()| failed("configuration"))?;
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
    let mut picture = PictureGuard::new(square, config.use_sharp_yuv)?;
    let mut writer = WriterGuard::new();
    picture.0.writer = Some(ffi::WebPMemoryWrite);
    picture.0.custom_ptr = ptr::from_mut(&mut writer.0).cast();
    // SAFETY: `config` and `picture` are initialised, `writer` outlives the call and is what
    // `WebPMemoryWrite` takes for `custom_ptr`.
    if unsafe { ffi::WebPEncode(&raw const config, &raw mut picture.0) } == 0 {
        return Err(failed("WebP"));
    }
    Ok(writer.bytes())
}

const fn failed(what: &'static str) -> Error {
    Error::Encoder { what }
}

/// Pixels in libwebp's own memory.
struct PictureGuard(ffi::WebPPicture);

impl PictureGuard {
    /// Imports pixels: as red, green and blue if `use_argb` is 1, otherwise with subsampled chroma.
    fn new(square: &SrgbSquare, use_argb: c_int) -> Result<Self, Error> {
        let side = c_int::try_from(square.side).map_err(|_| failed("side"))?;
        let channels = square.channels();
        let stride =
            c_int::try_from(square.side as usize * channels).map_err(|_| failed("side"))?;
        if square.pixels.len() != square.side as usize * square.side as usize * channels {
            return Err(failed("pixels do not fit the side"));
        }
        let mut picture = Self(ffi::WebPPicture::new().map_err(|()| failed("picture"))?);
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
            return Err(failed("picture"));
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

/// The encoder's output in libwebp's own memory.
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
