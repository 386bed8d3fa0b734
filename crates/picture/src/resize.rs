//! Resizing with a Lanczos filter of three lobes, the default of `fast_image_resize`.
//!
//! See <https://en.wikipedia.org/wiki/Lanczos_resampling>.

use std::cell::RefCell;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};

use crate::error::Error;
use crate::raster::{Channels, CropBox, Raster, Samples};

const FAILED: Error = Error::Encoder {
    what: "the resizer refused the pixels or the crop box",
};

thread_local! {
    /// The resizer of this thread. It keeps its buffers between pictures, because new pages from
    /// the kernel cost more time than the filter.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resizes the crop box of a raster to `side` × `side` pixels of the same channels and depth.
///
/// If there is alpha, colours are weighted by it, so transparent pixels do not tint their
/// neighbours.
///
/// # Errors
/// [`Error::Encoder`] if the samples do not fill the raster, or the crop box is not inside it.
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
            // The resizer takes bytes and reads them as 16-bit numbers in native byte order.
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

/// Resizes the raw bytes of a raster, and returns the bytes of the result.
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

/// Returns the resizer's pixel type for 8-bit samples. CMYK has the layout of RGBA.
fn pixel_type8(channels: Channels) -> PixelType {
    match channels {
        Channels::Grey => PixelType::U8,
        Channels::GreyAlpha => PixelType::U8x2,
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba | Channels::Cmyk => PixelType::U8x4,
    }
}

/// Returns the resizer's pixel type for 16-bit samples. CMYK has the layout of RGBA.
fn pixel_type16(channels: Channels) -> PixelType {
    match channels {
        Channels::Grey => PixelType::U16,
        Channels::GreyAlpha => PixelType::U16x2,
        Channels::Rgb => PixelType::U16x3,
        Channels::Rgba | Channels::Cmyk => PixelType::U16x4,
    }
}
