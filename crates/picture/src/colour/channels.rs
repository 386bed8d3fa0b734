//! Conversions between channel layouts and sample depths.

use crate::raster::{Channels, Raster, Samples};

/// Converts grey and inks to red, green and blue.
pub(super) fn to_rgb_layout(raster: Raster) -> Raster {
    let channels = if raster.channels.has_alpha() {
        Channels::Rgba
    } else {
        Channels::Rgb
    };
    let samples = match raster.samples {
        Samples::Eight(samples) => {
            Samples::Eight(expand_channels(samples, raster.channels, |ink, black| {
                let left = u16::from(!ink) * u16::from(!black);
                u8::try_from((left + 127) / 255).unwrap_or(u8::MAX)
            }))
        }
        Samples::Sixteen(samples) => {
            Samples::Sixteen(expand_channels(samples, raster.channels, |ink, black| {
                let left = u64::from(!ink) * u64::from(!black);
                u16::try_from((left + 32_767) / 65_535).unwrap_or(u16::MAX)
            }))
        }
    };
    Raster {
        channels,
        samples,
        ..raster
    }
}

/// `light_through` returns the light that an ink and the black ink leave.
fn expand_channels<S: Copy>(
    samples: Vec<S>,
    channels: Channels,
    light_through: impl Fn(S, S) -> S,
) -> Vec<S> {
    match channels {
        Channels::Rgb | Channels::Rgba => samples,
        Channels::Grey => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        Channels::GreyAlpha => {
            let (pixels, _) = samples.as_chunks::<2>();
            pixels
                .iter()
                .flat_map(|&[grey, alpha]| [grey, grey, grey, alpha])
                .collect()
        }
        Channels::Cmyk => {
            let (pixels, _) = samples.as_chunks::<4>();
            pixels
                .iter()
                .flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| light_through(ink, k)))
                .collect()
        }
    }
}

/// Returns `sample × 255 / 65535`, rounded. 65535 is 257 × 255.
pub(super) fn round_to_eight(sample: u16) -> u8 {
    u8::try_from((u32::from(sample) + 128) / 257).unwrap_or(u8::MAX)
}
