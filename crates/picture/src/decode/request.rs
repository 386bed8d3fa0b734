//! The interface between the pipeline and the decoders.

use crate::colour::ColourSpace;
use crate::error::Error;
use crate::geometry::Square;
use crate::orientation::Orientation;
use crate::pixels::Pixels;
use crate::policy::Policy;

/// A picture whose container was read and found in order.
pub(crate) trait FormatDecoder<'a> {
    /// How its pixels are to be turned.
    fn orientation(&self) -> Orientation;

    /// Decodes all of it, and keeps what the outputs need.
    fn decode(self: Box<Self>, request: DecodeRequest<'_>) -> Result<Decoded<'a>, Error>;
}

/// What the outputs need of a picture.
#[derive(Clone, Copy)]
pub(crate) struct DecodeRequest<'a> {
    /// The square to keep, in stored pixels; it lies inside the picture.
    pub(crate) square: Square,
    /// Side of the largest output, at most that of the square.
    pub(crate) side: u32,
    pub(crate) policy: &'a Policy,
}

/// Pixels that hold the wanted square, perhaps reduced, never below
/// [`MARGIN`](crate::reduce::MARGIN) times the largest output.
pub(crate) struct Decoded<'a> {
    pub(crate) pixels: Pixels,
    pub(crate) space: ColourSpace<'a>,
}
