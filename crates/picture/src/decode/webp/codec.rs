//! libwebp: the only place that calls its decoder.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::ffi::c_int;
use std::ptr;

use libwebp_sys as ffi;

use crate::error::Error;

/// Decodes a still WebP file, scaled to `width` × `height`, which is at most its own size, as
/// RGBA or RGB. All of the bitstream is decoded, whatever the size.
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

/// As [`decode`], a lossy picture without alpha as it is coded: luminance of `width` × `height`, and
/// two differences of colour at half of that, rounded up.
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

/// A decoder that scales into memory of ours.
fn config(width: u32, height: u32) -> Result<ffi::WebPDecoderConfig, Error> {
    let mut config =
        ffi::WebPDecoderConfig::new().map_err(|()| Error::Encoder { what: "libwebp" })?;
    config.options.use_scaling = 1;
    config.options.scaled_width = int(width as usize)?;
    config.options.scaled_height = int(height as usize)?;
    config.output.is_external_memory = 1;
    Ok(config)
}

fn int(number: usize) -> Result<c_int, Error> {
    c_int::try_from(number).map_err(|_| Error::damaged("the size"))
}

/// # Safety
/// The configured output is memory of the configured size.
unsafe fn run(file: &[u8], mut config: ffi::WebPDecoderConfig) -> Result<(), Error> {
    // SAFETY: `config` is initialised; with external memory libwebp neither grows nor frees its
    // output. `file` is valid for its length.
    let status = unsafe { ffi::WebPDecode(file.as_ptr(), file.len(), &raw mut config) };
    match status {
        ffi::VP8StatusCode::VP8_STATUS_OK => Ok(()),
        ffi::VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA
        | ffi::VP8StatusCode::VP8_STATUS_SUSPENDED => Err(Error::TRUNCATED),
        _ => Err(Error::damaged("the picture data")),
    }
}
