//! Descriptions of colour spaces, as pictures contain them.

use std::borrow::Cow;

/// The colour space of a picture's samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum ColourSpace<'a> {
    /// IEC 61966-2-1. Pictures without a description count as sRGB too.
    #[default]
    Srgb,
    /// An ICC profile.
    Icc(Cow<'a, [u8]>),
    /// Code points.
    CodePoints(CodePoints),
    /// The gAMA and cHRM chunks of a PNG.
    GamaChrm(GamaChrm),
}

/// Code points of ITU-T H.273, tables 2 and 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodePoints {
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
}

/// Gamma and chromaticities, in units of 1/100,000 as PNG stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GamaChrm {
    /// Exponent of the encoding. Without it, the curve is that of sRGB.
    pub(crate) gamma: Option<u32>,
    /// x and y of white, red, green and blue. Without them, those of sRGB apply.
    pub(crate) chromaticities: Option<[(u32, u32); 4]>,
}
