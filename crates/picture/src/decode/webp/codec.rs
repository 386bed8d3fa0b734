//! Bindings to the decoder of libwebp. No other module calls it.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::ffi::c_int;
use std::ptr;

use libwebp_sys as ffi;

use crate::error::Error;

/// Decodes a still WebP to RGBA or RGB of 8 bits per sample, scaled to `width` × `height` pixels.
///
/// The scaled size must not exceed the size of the picture. `file` is a complete file or a bare VP8
/// or VP8L bitstream. The whole bitstream is decoded, whatever the scaled size.
///
/// # Errors
/// [`Error::Truncated`] if the bitstream ends early. [`Error::Damaged`] if it is invalid or libwebp
/// cannot allocate memory. [`Error::Encoder`] if libwebp has another ABI version than its bindings.
pub(super) fn decode(
    file: &[u8],
    width: u32,
    height: u32,
    has_alpha: bool,
) -> Result<Vec<u8>, Error> {
    let channels = if has_alpha { 4 } else { 3 };
    let stride = width as usize * channels;
    let mut pixels = vec![0; stride * height as usize];
    let mut config = config(width, height)?;
    config.output.colorspace = if has_alpha {
        ffi::WEBP_CSP_MODE::MODE_RGBA
    } else {
        ffi::WEBP_CSP_MODE::MODE_RGB
    };
    config.output.u.RGBA = ffi::WebPRGBABuffer {
        rgba: pixels.as_mut_ptr(),
        stride: int(stride)?,
        size: pixels.len(),
    };
    // SAFETY: the output points to `pixels`, which outlives the call and holds `height` rows of
    // `stride` bytes.
    unsafe { run(file, config) }.map(|()| pixels)
}

/// Decodes a lossy picture without alpha to its planes Y, Cb and Cr, without colour conversion.
///
/// Y has `width` × `height` samples of 8 bits. Cb and Cr have half of each, rounded up.
///
/// # Errors
/// Same as [`decode`].
pub(super) fn decode_planes(file: &[u8], width: u32, height: u32) -> Result<[Vec<u8>; 3], Error> {
    let (stride, half) = (width as usize, width.div_ceil(2) as usize);
    let mut luminance = vec![0; stride * height as usize];
    let mut blue = vec![0; half * height.div_ceil(2) as usize];
    let mut red = blue.clone();
    let mut config = config(width, height)?;
    config.output.colorspace = ffi::WEBP_CSP_MODE::MODE_YUV;
    config.output.u.YUVA = ffi::WebPYUVABuffer {
        y: luminance.as_mut_ptr(),
        u: blue.as_mut_ptr(),
        v: red.as_mut_ptr(),
        a: ptr::null_mut(),
        y_stride: int(stride)?,
        u_stride: int(half)?,
        v_stride: int(half)?,
        a_stride: 0,
        y_size: luminance.len(),
        u_size: blue.len(),
        v_size: red.len(),
        a_size: 0,
    };
    // SAFETY: the output points to the three planes, which outlive the call and hold their rows of
    // `stride` and `half` bytes.
    unsafe { run(file, config) }.map(|()| [luminance, blue, red])
}

/// Returns a configuration that scales into a buffer of the caller.
fn config(width: u32, height: u32) -> Result<ffi::WebPDecoderConfig, Error> {
    let mut config = ffi::WebPDecoderConfig::new().map_err(|()| Error::Encoder {
        what: "libwebp and its bindings have different versions",
    })?;
    config.options.use_scaling = 1;
    config.options.scaled_width = int(width as usize)?;
    config.options.scaled_height = int(height as usize)?;
    config.output.is_external_memory = 1;
    Ok(config)
}

/// Converts a size to a C `int`.
///
/// # Errors
/// [`Error::Damaged`] above `c_int::MAX`.
fn int(number: usize) -> Result<c_int, Error> {
    c_int::try_from(number).map_err(|_| Error::damaged("the size exceeds the range of libwebp"))
}

/// Decodes `file` into the output of `config`.
///
/// # Errors
/// [`Error::Truncated`] or [`Error::Damaged`]; see [`decode`].
///
/// # Safety
/// The output of `config` must point to writable buffers of the sizes stated in `config`.
unsafe fn run(file: &[u8], mut config: ffi::WebPDecoderConfig) -> Result<(), Error> {
    // SAFETY: `config` is initialised; with external memory libwebp neither grows nor frees its
    // output. `file` is valid for its length.
    let status = unsafe { ffi::WebPDecode(file.as_ptr(), file.len(), &raw mut config) };
    match status {
        ffi::VP8StatusCode::VP8_STATUS_OK => Ok(()),
        ffi::VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA
        | ffi::VP8StatusCode::VP8_STATUS_SUSPENDED => Err(Error::TRUNCATED),
        _ => Err(Error::damaged("the image data is invalid")),
    }
}
