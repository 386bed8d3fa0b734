//! Interface between the pipeline and the decoders.

use crate::colour::ColourSpace;
use crate::error::Error;
use crate::geometry::Square;
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::policy::Policy;

/// A picture whose container was parsed and is valid.
pub(crate) trait FormatDecoder<'a> {
    /// Returns the orientation of the stored pixels.
    fn orientation(&self) -> Orientation;

    /// Decodes all coded data and keeps the pixels that the outputs need.
    ///
    /// # Errors
    /// [`Error::Truncated`] and [`Error::Damaged`] if coded data is missing or invalid.
    /// [`Error::TooComplex`] if decoding exceeds a limit of the policy.
    /// [`Error::UnsupportedFormat`] if the codec does not support a coding feature.
    /// [`Error::Encoder`] if a codec library cannot be initialised.
    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error>;
}

/// The part of a picture that the outputs need, and the limits for decoding it.
#[derive(Clone, Copy)]
pub(crate) struct DecodeRequest<'a> {
    /// Square to keep, in stored pixels. It lies inside the picture.
    pub(crate) square: Square,
    /// Side of the largest output in pixels, at most `square.size`.
    pub(crate) side: u32,
    pub(crate) policy: &'a Policy,
}

/// Decoded pixels that contain the requested square.
///
/// The square may be reduced, but its side is at least [`MARGIN`](crate::reduce::MARGIN) times the
/// side of the largest output, unless the original square is smaller.
pub(crate) struct Decoded<'a> {
    pub(crate) pixels: Pixels,
    pub(crate) space: ColourSpace<'a>,
}
