//! libwebp: the only place that calls its decoder.
#![expect(unsafe_code, reason = "libwebp is a C library")]

use std::ffi::c_int;

use libwebp_sys as ffi;

use crate::Error;

/// Decodes a still WebP file, scaled to `width` × `height`, which is at most its own size, as
/// RGBA or RGB. All of the bitstream is decoded, whatever the size.
pub(super) fn decode(
    file: &[u8],
    width: u32,
    height: u32,
    has_alpha: bool,
) -> Result<Vec<u8>, Error> {
    let too_large = |_| Error::damaged("the size");
    let channels = if has_alpha { 4 } else { 3 };
    let stride = width as usize * channels;
    let mut pixels = vec![0; stride * height as usize];
    let mut config =
        ffi::WebPDecoderConfig::new().map_err(|()| Error::Encoder { what: "libwebp" })?;
    config.options.use_scaling = 1;
    config.options.scaled_width = c_int::try_from(width).map_err(too_large)?;
    config.options.scaled_height = c_int::try_from(height).map_err(too_large)?;
    config.output.colorspace = if has_alpha {
        ffi::WEBP_CSP_MODE::MODE_RGBA
    } else {
        ffi::WEBP_CSP_MODE::MODE_RGB
    };
    config.output.is_external_memory = 1;
    config.output.u.RGBA = ffi::WebPRGBABuffer {
        rgba: pixels.as_mut_ptr(),
        stride: c_int::try_from(stride).map_err(too_large)?,
        size: pixels.len(),
    };
    // SAFETY: `config` is initialised; its output points to `pixels`, which outlives the call and
    // holds `height` rows of `stride` bytes; with external memory libwebp neither grows nor frees
    // it. `file` is valid for its length.
    let status = unsafe { ffi::WebPDecode(file.as_ptr(), file.len(), &raw mut config) };
    match status {
        ffi::VP8StatusCode::VP8_STATUS_OK => Ok(pixels),
        ffi::VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA
        | ffi::VP8StatusCode::VP8_STATUS_SUSPENDED => Err(Error::CUT),
        _ => Err(Error::damaged("the picture data")),
    }
}
