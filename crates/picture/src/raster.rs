//! Decoded pixels in memory: the input and the output of the resizer.

use crate::geometry::Square;

/// Channels of a pixel, in the order in which they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Amounts of cyan, magenta, yellow and black ink: 0 is no ink.
    Cmyk,
}

impl Channels {
    /// Returns the number of samples per pixel.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }

    /// Returns true if the last channel is alpha.
    pub(crate) fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }
}

/// Samples in row order with interleaved channels, of 8 or 16 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Samples {
    /// Converts the samples to 16 bits. 255 becomes 65,535, so full stays full.
    pub(crate) fn into_sixteen(self) -> Vec<u16> {
        match self {
            Self::Eight(samples) => samples
                .into_iter()
                // 65,535 / 255 = 257.
                .map(|sample| u16::from(sample) * 257)
                .collect(),
            Self::Sixteen(samples) => samples,
        }
    }
}

/// A rectangle of `width` × `height` pixels. Alpha is straight (not premultiplied).
#[derive(Clone, Debug)]
pub(crate) struct Raster {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: Channels,
    pub(crate) samples: Samples,
}

/// The part of a raster that becomes the output, in pixels of the raster.
///
/// The numbers may be fractional, because the raster may show the picture at a reduced size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CropBox {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl CropBox {
    /// Maps a `square` of a picture of `width` × `height` pixels to a raster.
    ///
    /// The raster shows the whole picture with `columns` × `rows` pixels.
    pub(crate) fn scaled(
        square: Square,
        (width, height): (u32, u32),
        (columns, rows): (u32, u32),
    ) -> Self {
        let across = f64::from(columns) / f64::from(width.max(1));
        let down = f64::from(rows) / f64::from(height.max(1));
        Self {
            x: f64::from(square.x) * across,
            y: f64::from(square.y) * down,
            width: f64::from(square.size) * across,
            height: f64::from(square.size) * down,
        }
        .inside(columns, rows)
    }

    /// Cuts the box at the right and bottom edge of a raster of `columns` × `rows` pixels.
    ///
    /// Rounding may put the box slightly outside, and the resizer refuses such a box.
    fn inside(self, columns: u32, rows: u32) -> Self {
        Self {
            width: self.width.min(f64::from(columns) - self.x),
            height: self.height.min(f64::from(rows) - self.y),
            ..self
        }
    }
}

impl From<Square> for CropBox {
    fn from(square: Square) -> Self {
        let side = f64::from(square.size);
        Self {
            x: f64::from(square.x),
            y: f64::from(square.y),
            width: side,
            height: side,
        }
    }
}
