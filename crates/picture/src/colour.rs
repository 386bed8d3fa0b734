//! Colour: from whatever space the picture is in to sRGB, after the resize, when few pixels are
//! left.

mod transform;

use std::borrow::Cow;

use crate::orientation::Orientation;
use crate::raster::{Channels, Raster, Samples};

/// The space that a picture's samples are in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum ColourSpace<'a> {
    /// IEC 61966-2-1, which is also what an untagged picture is taken for.
    #[default]
    Srgb,
    /// What an ICC profile says.
    Icc(Cow<'a, [u8]>),
}

/// Pixels in sRGB, 8 bits a sample: RGB, or RGBA with straight alpha.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) side: u32,
    pub(crate) has_alpha: bool,
    pub(crate) pixels: Vec<u8>,
}

impl Finished {
    /// Takes RGB, or RGBA whose alpha is dropped when every pixel is opaque.
    pub(crate) fn new(side: u32, has_alpha: bool, pixels: Vec<u8>) -> Self {
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

    /// Turns the square upright.
    pub(crate) fn turn(&mut self, orientation: Orientation) {
        let channels = self.channels();
        self.pixels = orientation.apply(std::mem::take(&mut self.pixels), self.side, channels);
    }

    /// Bytes a pixel.
    pub(crate) fn channels(&self) -> usize {
        if self.has_alpha { 4 } else { 3 }
    }
}

/// Converts a square to sRGB. A profile that is broken, or made for other channels than the
/// picture has, is ignored as browsers do: the samples are then taken for sRGB, ink for its
/// plain complement.
pub(crate) fn to_srgb(raster: &Raster, space: &ColourSpace<'_>) -> Finished {
    let pixels = match space {
        ColourSpace::Icc(profile) => transform::icc(raster, profile),
        ColourSpace::Srgb => None,
    };
    let pixels = pixels.unwrap_or_else(|| plain(raster));
    Finished::new(raster.width, raster.channels.has_alpha(), pixels)
}

/// RGB or RGBA by arithmetic alone.
fn plain(raster: &Raster) -> Vec<u8> {
    let eight = to_eight(&raster.samples);
    match raster.channels {
        Channels::Rgb | Channels::Rgba => eight.into_owned(),
        Channels::Grey => eight.iter().flat_map(|&grey| [grey; 3]).collect(),
        Channels::GreyAlpha => {
            let (pixels, _) = eight.as_chunks::<2>();
            pixels
                .iter()
                .flat_map(|&[grey, alpha]| [grey, grey, grey, alpha])
                .collect()
        }
        Channels::Cmyk => {
            let (pixels, _) = eight.as_chunks::<4>();
            pixels
                .iter()
                .flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| paper(ink, k)))
                .collect()
        }
    }
}

/// What of the light an ink and the black over it leave.
fn paper(ink: u8, black: u8) -> u8 {
    let left = u16::from(u8::MAX - ink) * u16::from(u8::MAX - black);
    u8::try_from((left + 127) / 255).unwrap_or(u8::MAX)
}

/// Samples as 8 bits, rounded.
fn to_eight(samples: &Samples) -> Cow<'_, [u8]> {
    match samples {
        Samples::Eight(samples) => Cow::Borrowed(samples),
        Samples::Sixteen(samples) => samples
            .iter()
            .map(|&sample| round_to_eight(sample))
            .collect(),
    }
}

/// `sample × 255 / 65535`, rounded: 65535 is 257 × 255.
fn round_to_eight(sample: u16) -> u8 {
    u8::try_from((u32::from(sample) + 128) / 257).unwrap_or(u8::MAX)
}
