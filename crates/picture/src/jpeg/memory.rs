//! How much memory a decode takes.

use super::header::Header;
use super::planes::{Plane, Rectangle, Region, Scale};
use super::progressive::Store;

/// Window, Huffman tables of a scan (at most 4 + 4, 33 KiB each), tables as transmitted, headers.
const FIXED: u64 = 384 << 10;

impl Header<'_> {
    /// Most bytes that decoding this file takes, besides the file itself.
    ///
    /// A sequential file takes its planes and a fixed amount. A progressive one takes 8 bytes a block
    /// of the whole picture, and 2 bytes for each coefficient kept of the blocks in `region`: at most
    /// the first 1, 5, 13, 25 or 64 of a block for N = 1, 2, 3, 4 or 8. A
    /// [`Decoder`](super::Decoder) that has been used before may hold [`RETAINED`](super::RETAINED) more.
    pub fn peak_memory(&self, scale: Scale, region: Option<Region>) -> u64 {
        let units = Rectangle::of_units(&self.frame, region);
        let components = self.frame.components.iter().map(|component| {
            let blocks = units.blocks(component.sampling);
            let store = if self.progressive {
                Store::size(scale, component.padded_blocks, blocks)
            } else {
                0
            };
            Plane::size(blocks, scale) + store
        });
        FIXED + components.sum::<u64>()
    }
}
