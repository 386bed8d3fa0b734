//! Colour: from whatever space the picture is in to sRGB, after the resize, when few pixels are
//! left.

mod hdr;
mod profile;
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
    /// What code points say.
    Coded(CodePoints),
    /// What the gAMA and cHRM chunks of a PNG say.
    Measured(Measured),
}

/// Code points of ITU-T H.273, tables 2 and 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodePoints {
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
}

/// A space by its numbers, in 100,000ths as PNG stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Exponent of the encoding; without one, the curve is that of sRGB.
    pub(crate) gamma: Option<u32>,
    /// x and y of white, red, green, blue; without them, those of sRGB.
    pub(crate) chromaticities: Option<[(u32, u32); 4]>,
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
pub(crate) fn to_srgb(raster: Raster, space: &ColourSpace<'_>) -> Finished {
    let (side, has_alpha) = (raster.width, raster.channels.has_alpha());
    let converted = match space {
        ColourSpace::Srgb => None,
        ColourSpace::Coded(points) if points.is_hdr() => {
            Some(hdr::to_srgb(with_colours(raster.clone()), *points))
        }
        _ => transform::apply(&raster, space),
    };
    let pixels = converted.unwrap_or_else(|| plain(raster));
    Finished::new(side, has_alpha, pixels)
}

/// RGB or RGBA by arithmetic alone.
fn plain(raster: Raster) -> Vec<u8> {
    match with_colours(raster).samples {
        Samples::Eight(samples) => samples,
        Samples::Sixteen(samples) => samples.into_iter().map(round_to_eight).collect(),
    }
}

/// With grey and ink turned into red, green and blue.
fn with_colours(raster: Raster) -> Raster {
    let channels = if raster.channels.has_alpha() {
        Channels::Rgba
    } else {
        Channels::Rgb
    };
    let samples = match raster.samples {
        Samples::Eight(samples) => {
            Samples::Eight(spread(samples, raster.channels, |ink, black| {
                let left = u16::from(!ink) * u16::from(!black);
                u8::try_from((left + 127) / 255).unwrap_or(u8::MAX)
            }))
        }
        Samples::Sixteen(samples) => {
            Samples::Sixteen(spread(samples, raster.channels, |ink, black| {
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

/// `paper` is what of the light an ink and the black over it leave.
fn spread<S: Copy>(samples: Vec<S>, channels: Channels, paper: impl Fn(S, S) -> S) -> Vec<S> {
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
                .flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| paper(ink, k)))
                .collect()
        }
    }
}

/// `sample × 255 / 65535`, rounded: 65535 is 257 × 255.
fn round_to_eight(sample: u16) -> u8 {
    u8::try_from((u32::from(sample) + 128) / 257).unwrap_or(u8::MAX)
}
