//! Limits on the work of one decode.

use crate::error::{Complexity, Error};

/// Limits on the work of one decode.
///
/// A progressive scan of all blocks of a picture can be very short: one end-of-band run covers up
/// to 32,767 blocks (T.81 table G.1). So the length of a file does not limit the work, but the
/// number of blocks in all scans does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of scans. Encoders write 1 to about 14.
    pub max_scans: u32,
    /// Maximum number of blocks in all scans together. A block without bits takes a few
    /// nanoseconds.
    pub max_blocks: u64,
}

impl Default for Limits {
    /// Returns limits of 1000 scans and 128 Mi blocks.
    ///
    /// 128 Mi blocks are 28 scans of all components of a picture of 100 megapixels without chroma
    /// subsampling. Encoders write far fewer. If no bits are coded, they take less than a second.
    fn default() -> Self {
        Self {
            max_scans: 1000,
            max_blocks: 128 << 20,
        }
    }
}

/// Work done so far, compared with [`Limits`].
#[derive(Default)]
pub(super) struct WorkSpent {
    scans: u32,
    blocks: u64,
}

impl WorkSpent {
    /// Adds a scan of `blocks` blocks, before it is decoded.
    ///
    /// # Errors
    /// [`Error::TooComplex`] if the file now exceeds a limit.
    pub(super) fn add_scan(&mut self, blocks: u64, limits: &Limits) -> Result<(), Error> {
        // The header of the scan states its number of blocks, so the scan is refused before it
        // costs any work.
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
