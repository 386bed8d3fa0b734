//! Memory that a decode needs.

use super::decoder::RETAINED;
use super::frame_header::FrameHeader;
use super::header::JpegHeader;
use super::planes::{BlockRect, Plane, Region, Scale};
use super::progressive::CoefficientStore;
use crate::geometry::Square;
use crate::reduce::min_side;

/// Bytes that do not depend on the picture, rounded up generously.
///
/// The window has 32 KiB, the tables of a scan have at most 4 × 13 KiB (DC) and 4 × 21 KiB (AC).
/// The tables as transmitted and the headers have a few KiB.
const FIXED: u64 = 384 << 10;

/// Number of pixels around a square that the resize filter may read.
const FILTER_BORDER: u32 = 64;
/// Side of the largest MCU in pixels: four blocks of eight samples.
const MAX_MCU_SIDE: u32 = 32;

/// Input of the memory computation: the frame header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footprint(FrameHeader);

impl JpegHeader<'_> {
    /// Returns the maximum number of bytes that decoding this file needs, without the file itself.
    ///
    /// A sequential file needs its planes and a fixed amount. A progressive file needs in addition
    /// 8 bytes per block of the whole picture, and 2 bytes per coefficient kept of the blocks in
    /// `region`. For N = 1, 2, 3, 4 or 8, that is 1, 5, 13, 25 or 64 coefficients per block. A
    /// [`Decoder`](super::Decoder) that was used before may hold [`RETAINED`](super::RETAINED)
    /// more.
    pub fn peak_memory(&self, scale: Scale, region: Option<Region>) -> u64 {
        peak_memory(&self.frame, scale, region)
    }

    /// Returns the input of the memory computation, without the rest of the header.
    pub(crate) fn footprint(&self) -> Footprint {
        Footprint(self.frame.clone())
    }
}

impl Footprint {
    /// Returns the same as [`JpegHeader::peak_memory`].
    pub(crate) fn peak_memory(&self, scale: Scale, region: Region) -> u64 {
        peak_memory(&self.0, scale, Some(region))
    }

    /// Returns the maximum number of bytes that a [`Decoder`](super::Decoder) holds while it
    /// decodes a square of `size` pixels.
    ///
    /// `largest` is the largest side of the outputs. The result is valid for every position of the
    /// square in the picture of `width` × `height` pixels.
    pub(crate) fn peak_memory_for_square(
        &self,
        (width, height): (u32, u32),
        size: u32,
        largest: u32,
    ) -> u64 {
        let scale = Scale::for_square(size, largest.min(size));
        let centred = Region::around_square(Square {
            x: width.saturating_sub(size) / 2,
            y: height.saturating_sub(size) / 2,
            size,
        });
        // The number of MCUs that the square touches depends on its position. A border of one MCU
        // covers every position.
        let region = Region {
            x: centred.x.saturating_sub(MAX_MCU_SIDE),
            y: centred.y.saturating_sub(MAX_MCU_SIDE),
            width: centred.width + 2 * MAX_MCU_SIDE,
            height: centred.height + 2 * MAX_MCU_SIDE,
        };
        self.peak_memory(scale, region) + RETAINED as u64
    }
}

impl Scale {
    /// Returns the smallest scale at which a square of `size` pixels is large enough for outputs of
    /// `side` pixels.
    pub(crate) fn for_square(size: u32, side: u32) -> Self {
        Self::at_least(size, min_side(side))
    }
}

impl Region {
    /// Returns the square with the pixels around it that the resize filter may read.
    pub(crate) fn around_square(square: Square) -> Self {
        let x = square.x.saturating_sub(FILTER_BORDER);
        let y = square.y.saturating_sub(FILTER_BORDER);
        Self {
            x,
            y,
            width: square.x - x + square.size + FILTER_BORDER,
            height: square.y - y + square.size + FILTER_BORDER,
        }
    }
}

fn peak_memory(frame: &FrameHeader, scale: Scale, region: Option<Region>) -> u64 {
    let mcus = BlockRect::of_mcus(frame, region);
    let components = frame.components.iter().map(|component| {
        let blocks = mcus.blocks(component.sampling);
        let store = if frame.progressive {
            CoefficientStore::size(scale, component.padded_blocks, blocks)
        } else {
            0
        };
        Plane::size(blocks, scale) + store
    });
    FIXED + components.sum::<u64>()
}
