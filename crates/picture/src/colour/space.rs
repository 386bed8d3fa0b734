//! Descriptions of colour spaces.

use std::borrow::Cow;

/// The space that a picture's samples are in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum ColourSpace<'a> {
    /// IEC 61966-2-1, which is also what an untagged picture is taken for.
    #[default]
    Srgb,
    /// What an ICC profile says.
    Icc(Cow<'a, [u8]>),
    /// What code points say.
    CodePoints(CodePoints),
    /// What the gAMA and cHRM chunks of a PNG say.
    GamaChrm(GamaChrm),
}

/// Code points of ITU-T H.273, tables 2 and 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodePoints {
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
}

/// A space by its numbers, in 100,000ths as PNG stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GamaChrm {
    /// Exponent of the encoding; without one, the curve is that of sRGB.
    pub(crate) gamma: Option<u32>,
    /// x and y of white, red, green, blue; without them, those of sRGB.
    pub(crate) chromaticities: Option<[(u32, u32); 4]>,
}
