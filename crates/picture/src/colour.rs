//! Conversion of colours to sRGB (IEC 61966-2-1).
//!
//! It runs after the resize to the largest output, because its cost is per pixel.

mod channels;
mod hdr;
mod profile;
mod space;
mod transform;

pub(crate) use space::{CodePoints, ColourSpace, GamaChrm};

use crate::orientation::Orientation;
use crate::raster::{Raster, Samples};
use channels::{round_to_eight, to_rgb_layout};

/// A square in sRGB, row by row, 8 bits per sample: RGB, or RGBA with straight alpha.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SrgbSquare {
    pub(crate) side: u32,
    pub(crate) has_alpha: bool,
    pub(crate) pixels: Vec<u8>,
}

impl SrgbSquare {
    /// Creates a square of `side` × `side` pixels from RGB, or RGBA if `has_alpha`. Removes the
    /// alpha channel if every pixel is opaque.
    pub(crate) fn new(side: u32, has_alpha: bool, pixels: Vec<u8>) -> Self {
        // An opaque WebP needs no ALPH chunk, and encoding alpha takes time and memory.
        let (quads, _) = pixels.as_chunks::<4>();
        if !has_alpha || quads.iter().any(|&[.., alpha]| alpha != u8::MAX) {
            return Self {
                side,
                has_alpha,
                pixels,
            };
        }
        let pixels = quads
            .iter()
            .flat_map(|&[red, green, blue, _]| [red, green, blue])
            .collect();
        Self {
            side,
            has_alpha: false,
            pixels,
        }
    }

    /// Turns the square upright. `orientation` is that of the stored picture.
    pub(crate) fn orient(&mut self, orientation: Orientation) {
        let channels = self.channels();
        self.pixels = orientation.apply(std::mem::take(&mut self.pixels), self.side, channels);
    }

    /// Returns the number of bytes per pixel.
    pub(crate) fn channels(&self) -> usize {
        if self.has_alpha { 4 } else { 3 }
    }
}

/// Converts a square raster to sRGB.
///
/// A profile that is invalid, or made for other channels, is ignored, as browsers do. The samples
/// then count as sRGB, and CMYK is converted without a profile.
pub(crate) fn to_srgb(raster: Raster, space: &ColourSpace<'_>) -> SrgbSquare {
    let (side, has_alpha) = (raster.width, raster.channels.has_alpha());
    let converted = match space {
        ColourSpace::Srgb => None,
        // moxcms has no tone mapping for PQ and HLG.
        ColourSpace::CodePoints(points) if points.is_hdr() => {
            Some(hdr::to_srgb(to_rgb_layout(raster.clone()), *points))
        }
        _ => transform::apply(&raster, space),
    };
    let pixels = converted.unwrap_or_else(|| without_profile(raster));
    SrgbSquare::new(side, has_alpha, pixels)
}

/// Converts a raster to RGB or RGBA of 8 bits without a profile.
fn without_profile(raster: Raster) -> Vec<u8> {
    match to_rgb_layout(raster).samples {
        Samples::Eight(samples) => samples,
        Samples::Sixteen(samples) => samples.into_iter().map(round_to_eight).collect(),
    }
}
