//! Descriptions of colour spaces in pictures.

use std::borrow::Cow;

/// The colour space of a picture's samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum ColourSpace<'a> {
    /// sRGB (IEC 61966-2-1). A picture without a description has this colour space.
    #[default]
    Srgb,
    /// An ICC profile (ICC.1), decompressed. It may be invalid.
    Icc(Cow<'a, [u8]>),
    /// Code points, from the chunk cICP of a PNG or from a HEIF.
    CodePoints(CodePoints),
    /// The chunks gAMA and cHRM of a PNG.
    GamaChrm(GamaChrm),
}

/// Code points of ITU-T H.273: colour primaries (table 2) and transfer characteristics (table 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodePoints {
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
}

/// Gamma and chromaticities in units of 1/100,000 (W3C PNG, sections 11.3.2.1 and 11.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GamaChrm {
    /// Exponent of the encoding, such as 45,455 for 1/2.2. Without it, the curve is that of sRGB.
    pub(crate) gamma: Option<u32>,
    /// x and y of white, red, green and blue in CIE 1931. Without them, those of sRGB apply.
    pub(crate) chromaticities: Option<[(u32, u32); 4]>,
}
