//! Conversions between channel layouts and sample depths.

use crate::raster::{Channels, Raster, Samples};

/// Converts grey and CMYK to RGB, and grey with alpha to RGBA. Keeps the sample depth.
///
/// CMYK is converted without a profile: each of red, green and blue is `(1 − ink) × (1 − black)`.
/// This is the naive conversion of `device-cmyk()` in CSS Color 5.
pub(super) fn to_rgb_layout(raster: Raster) -> Raster {
    let channels = if raster.channels.has_alpha() {
        Channels::Rgba
    } else {
        Channels::Rgb
    };
    let samples = match raster.samples {
        // The product of two samples is divided by the full value. Half of it, rounded down, makes
        // the division round to the nearest value.
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

/// Expands pixels to RGB or RGBA. `light_through` returns the light that passes an ink and the
/// black ink, from the two amounts of ink.
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

/// Converts a sample of 16 bits to 8 bits, rounded: `sample × 255 / 65535`.
pub(super) fn round_to_eight(sample: u16) -> u8 {
    // 65535 is 257 × 255, so the quotient is `sample / 257`. 128 is half of 257, rounded down.
    u8::try_from((u32::from(sample) + 128) / 257).unwrap_or(u8::MAX)
}
