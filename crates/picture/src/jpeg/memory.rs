//! How much memory a decode takes.

use super::decoder::RETAINED;
use super::frame_header::FrameHeader;
use super::header::JpegHeader;
use super::planes::{BlockRect, Plane, Region, Scale};
use super::progressive::CoefficientStore;
use crate::geometry::Square;
use crate::reduce::min_side;

/// Window, Huffman tables of a scan (at most 4 + 4, 33 KiB each), tables as transmitted, headers.
const FIXED: u64 = 384 << 10;

/// Pixels around a square that the resize filter may read.
const FILTER_BORDER: u32 = 64;
/// Pixels along the side of the largest MCU: four blocks of eight samples.
const MAX_MCU_SIDE: u32 = 32;

/// What the memory of a decode depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footprint(FrameHeader);

impl JpegHeader<'_> {
    /// Most bytes that decoding this file takes, besides the file itself.
    ///
    /// A sequential file takes its planes and a fixed amount. A progressive one takes 8 bytes a block
    /// of the whole picture, and 2 bytes for each coefficient kept of the blocks in `region`: at most
    /// the first 1, 5, 13, 25 or 64 of a block for N = 1, 2, 3, 4 or 8. A
    /// [`Decoder`](super::Decoder) that has been used before may hold [`RETAINED`](super::RETAINED) more.
    pub fn peak_memory(&self, scale: Scale, region: Option<Region>) -> u64 {
        peak_memory(&self.frame, scale, region)
    }

    pub(crate) fn footprint(&self) -> Footprint {
        Footprint(self.frame.clone())
    }
}

impl Footprint {
    /// As [`JpegHeader::peak_memory`].
    pub(crate) fn peak_memory(&self, scale: Scale, region: Region) -> u64 {
        peak_memory(&self.0, scale, Some(region))
    }

    /// Most bytes that a [`Decoder`](super::Decoder) holds while it decodes a square of `size`
    /// pixels for outputs of at most `largest`, wherever the square lies in the picture of `width` ×
    /// `height`.
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
        // A square that is not centred may touch one more MCU.
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
    /// The smallest scale at which a square of `size` pixels suffices for outputs of `side`.
    pub(crate) fn for_square(size: u32, side: u32) -> Self {
        Self::at_least(size, min_side(side))
    }
}

impl Region {
    /// The square with the pixels around it that the resize filter may read.
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
