//! How much memory a decode takes.

use super::frame::Frame;
use super::header::Header;
use super::planes::{Plane, Rectangle, Region, Scale};
use super::progressive::Store;

/// Window, Huffman tables of a scan (at most 4 + 4, 33 KiB each), tables as transmitted, headers.
const FIXED: u64 = 384 << 10;

/// What the memory of a decode depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footprint(Frame);

impl Header<'_> {
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
    /// As [`Header::peak_memory`].
    pub(crate) fn peak_memory(&self, scale: Scale, region: Region) -> u64 {
        peak_memory(&self.0, scale, Some(region))
    }
}

fn peak_memory(frame: &Frame, scale: Scale, region: Option<Region>) -> u64 {
    let units = Rectangle::of_units(frame, region);
    let components = frame.components.iter().map(|component| {
        let blocks = units.blocks(component.sampling);
        let store = if frame.progressive {
            Store::size(scale, component.padded_blocks, blocks)
        } else {
            0
        };
        Plane::size(blocks, scale) + store
    });
    FIXED + components.sum::<u64>()
}
