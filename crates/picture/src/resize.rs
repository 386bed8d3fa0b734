//! Resize with a Lanczos filter of three lobes, the default of `fast_image_resize`.
//!
//! The filter runs on encoded samples, not on linear light, as in browsers.

use std::cell::RefCell;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};

use crate::error::Error;
use crate::raster::{Channels, CropBox, Raster, Samples};

/// The error of a failed resize. It is a fault of this crate: a buffer or a crop box that does
/// not match the raster.
const FAILED: Error = Error::Encoder { what: "resize" };

thread_local! {
    /// The resizer of this thread. It keeps its buffers: page faults in new memory would cost more
    /// time than the filter.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resizes the crop box of a raster to `side` × `side` pixels. Channels and sample depth stay the
/// same. Colours are weighted by alpha, so that transparent pixels do not affect their neighbours.
///
/// # Errors
/// [`Error::Encoder`] if the crop box is not inside the raster, or the number of samples does not
/// match the raster.
pub(crate) fn interleaved(raster: &Raster, crop_box: CropBox, side: u32) -> Result<Raster, Error> {
    let samples = match &raster.samples {
        Samples::Eight(samples) => Samples::Eight(resize(
            samples,
            pixel_type8(raster.channels),
            raster,
            crop_box,
            side,
        )?),
        Samples::Sixteen(samples) => {
            // The resizer takes bytes and reads them as `u16` in native byte order.
            let bytes: Vec<u8> = samples
                .iter()
                .flat_map(|sample| sample.to_ne_bytes())
                .collect();
            let resized = resize(
                &bytes,
                pixel_type16(raster.channels),
                raster,
                crop_box,
                side,
            )?;
            Samples::Sixteen(
                resized
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&pair| u16::from_ne_bytes(pair))
                    .collect(),
            )
        }
    };
    Ok(Raster {
        width: side,
        height: side,
        channels: raster.channels,
        samples,
    })
}

/// Resizes bytes of one pixel type. Returns `side` × `side` pixels of the same type.
///
/// # Errors
/// See [`interleaved`].
fn resize(
    bytes: &[u8],
    pixel_type: PixelType,
    raster: &Raster,
    crop_box: CropBox,
    side: u32,
) -> Result<Vec<u8>, Error> {
    let source =
        ImageRef::new(raster.width, raster.height, bytes, pixel_type).map_err(|_| FAILED)?;
    let mut target = Image::new(side, side, pixel_type);
    let options = ResizeOptions::new()
        .crop(crop_box.x, crop_box.y, crop_box.width, crop_box.height)
        .use_alpha(raster.channels.has_alpha());
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize(&source, &mut target, &options))
        .map_err(|_| FAILED)?;
    Ok(target.into_vec())
}

/// Returns the pixel type for samples of 8 bits. Names of channels have no meaning in the resizer,
/// so CMYK has the type of RGBA.
fn pixel_type8(channels: Channels) -> PixelType {
    match channels {
        Channels::Grey => PixelType::U8,
        Channels::GreyAlpha => PixelType::U8x2,
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba | Channels::Cmyk => PixelType::U8x4,
    }
}

/// Returns the pixel type for samples of 16 bits.
fn pixel_type16(channels: Channels) -> PixelType {
    match channels {
        Channels::Grey => PixelType::U16,
        Channels::GreyAlpha => PixelType::U16x2,
        Channels::Rgb => PixelType::U16x3,
        Channels::Rgba | Channels::Cmyk => PixelType::U16x4,
    }
}
