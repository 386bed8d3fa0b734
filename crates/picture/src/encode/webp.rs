//! WebP by libwebp: the only place that calls its encoder.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::ffi::c_int;
use std::ptr;

use libwebp_sys as ffi;

use crate::colour::SrgbSquare;
use crate::error::Error;

/// Side up to which colour is halved by "sharp YUV", which minds what halving does to brightness.
/// There a single pixel of a thin line counts; beyond it takes as long as all else.
const TINY: u32 = 128;
/// Side up to which a square is small enough for effort.
const SMALL: u32 = 256;
/// libwebp's method, 0 to 6, for small squares.
const SMALL_METHOD: c_int = 5;
/// The method beyond that, which decides by distortion alone and so takes half the time; and
/// the strength of the loop filter, 0 to 100, that makes good for part of what this loses. At equal
/// SSIMULACRA2 the four default sizes together are 2 to 6 % larger than with method 4, the default;
/// with method 2 throughout and the default filter 4 to 11 % (`examples/effort.rs`).
const LARGE_METHOD: c_int = 2;
const LARGE_FILTER: c_int = 80;
/// What is added to the quality, 0 to 100, of all that is not tiny, so that a number stands for no
/// less than it does with method 4 throughout.
const GAIN: f32 = 1.0;

/// A lossy WebP with no chunks but those of the picture.
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
    /// Pixels in red, green and blue where `use_argb` is 1, else with halved colour.
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
