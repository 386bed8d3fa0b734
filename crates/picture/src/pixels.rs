//! Decoded pixels in either form, and their resize to the largest output.

use crate::error::Error;
use crate::planar::Planar;
use crate::raster::{CropBox, Raster};
use crate::resize;

/// Decoded pixels that contain the requested square.
#[derive(Clone, Debug)]
pub(crate) enum Pixels {
    /// Interleaved channels, and the part of them to keep.
    Interleaved(Raster, CropBox),
    /// One plane per component.
    Planar(Planar),
}

impl Pixels {
    /// Resizes the requested square to `side` × `side` pixels.
    pub(crate) fn resize(self, side: u32) -> Result<Raster, Error> {
        match self {
            Self::Interleaved(raster, crop_box) => resize::interleaved(&raster, crop_box, side),
            Self::Planar(planar) => planar.resize(side),
        }
    }
}
