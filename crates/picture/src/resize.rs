//! Resizing with a Lanczos filter of three lobes
//! (<https://en.wikipedia.org/wiki/Lanczos_resampling>).

use std::cell::RefCell;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};

use crate::error::Error;
use crate::raster::{Channels, CropBox, Raster, Samples};

const FAILED: Error = Error::Encoder { what: "resize" };

thread_local! {
    /// One resizer per thread. It keeps its buffers, since new pages cost more than the filter.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resizes the `window` of a raster to `side` × `side` pixels. Colours are weighted by alpha.
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

fn pixel_type8(channels: Channels) -> PixelType {
    match channels {
        Channels::Grey => PixelType::U8,
        Channels::GreyAlpha => PixelType::U8x2,
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba | Channels::Cmyk => PixelType::U8x4,
    }
}

fn pixel_type16(channels: Channels) -> PixelType {
    match channels {
        Channels::Grey => PixelType::U16,
        Channels::GreyAlpha => PixelType::U16x2,
        Channels::Rgb => PixelType::U16x3,
        Channels::Rgba | Channels::Cmyk => PixelType::U16x4,
    }
}
