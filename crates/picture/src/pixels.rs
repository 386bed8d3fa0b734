//! Decoded pixels, interleaved or planar, and their resizing to the largest output.

use crate::error::Error;
use crate::planar::Planar;
use crate::raster::{CropBox, Raster};
use crate::resize;

/// Decoded pixels that contain the requested square.
#[derive(Clone, Debug)]
pub(crate) enum Pixels {
    /// Interleaved channels, and the box of them that becomes the output.
    Interleaved(Raster, CropBox),
    /// One plane per component.
    Planar(Planar),
}

impl Pixels {
    /// Resizes the requested square to `side` × `side` pixels.
    ///
    /// # Errors
    /// [`Error::Encoder`] if resizing fails or a component plane is missing.
    pub(crate) fn resize(self, side: u32) -> Result<Raster, Error> {
        match self {
            Self::Interleaved(raster, crop_box) => resize::interleaved(&raster, crop_box, side),
            Self::Planar(planar) => planar.resize(side),
        }
    }
}
