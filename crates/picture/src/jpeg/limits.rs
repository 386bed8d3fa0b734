//! How much work a file may ask for.

use crate::error::{Complexity, Error};

/// Bounds on the work of one decode.
///
/// A progressive file may name every block of the picture again in each scan while spending a few
/// bytes on it, so the size of a file bounds nothing; the product of scans and blocks does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Scans in the file. Encoders write 1 to about 14.
    pub max_scans: u32,
    /// Blocks over all scans. One costs a few nanoseconds at most where no bits are spent on it.
    pub max_blocks: u64,
}

impl Default for Limits {
    /// 1000 scans and 128 Mi blocks: what a 100 MP picture of full chroma needs in 28 scans of
    /// everything, far beyond what encoders write, and less than a second of work.
    fn default() -> Self {
        Self {
            max_scans: 1000,
            max_blocks: 128 << 20,
        }
    }
}

/// What has been used up of [`Limits`].
#[derive(Default)]
pub(super) struct WorkSpent {
    scans: u32,
    blocks: u64,
}

impl WorkSpent {
    /// Books a scan of that many blocks, or refuses it.
    pub(super) fn add_scan(&mut self, blocks: u64, limits: &Limits) -> Result<(), Error> {
        self.scans += 1;
        self.blocks = self.blocks.saturating_add(blocks);
        if self.scans > limits.max_scans {
            return Err(Error::TooComplex {
                what: Complexity::Scans,
                value: u64::from(self.scans),
                limit: u64::from(limits.max_scans),
            });
        }
        if self.blocks > limits.max_blocks {
            return Err(Error::TooComplex {
                what: Complexity::ScanBlocks,
                value: self.blocks,
                limit: limits.max_blocks,
            });
        }
        Ok(())
    }
}
