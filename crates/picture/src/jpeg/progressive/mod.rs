//! Progressive scans: ITU-T T.81 annex G.
//!
//! Later scans refine what earlier ones began, so the coefficients of the whole picture must be at
//! hand until the last scan. To parse them it is enough to know which are not zero: 64 bits a block
//! rather than 128 bytes. Values are kept only of those coefficients, and in those blocks, that the
//! samples asked for need.

mod ac;
mod dc;
mod store;

pub(super) use ac::{AcDecoder, decode_ac};
pub(super) use dc::{DcPart, decode_dc};
pub(super) use store::Store;

use super::bits::BitReader;
use super::source::{EntropySource, Fault};

/// Counts MCUs, and passes restart markers.
struct Restarts {
    interval: usize,
    until_next: usize,
    number: u8,
}

impl Restarts {
    fn new(interval: usize) -> Self {
        let until_next = if interval == 0 { usize::MAX } else { interval };
        Self {
            interval,
            until_next,
            number: 0,
        }
    }

    /// Counts a step; passes the restart marker in front of it if there is one and tells so.
    #[inline(always)]
    fn step(
        &mut self,
        source: &mut EntropySource<'_, '_>,
        bits: &mut BitReader,
    ) -> Result<bool, Fault> {
        let is_due = self.until_next == 0;
        if is_due {
            *bits = source.restart(*bits, self.number & 7)?;
            self.number = self.number.wrapping_add(1);
            self.until_next = self.interval;
        }
        self.until_next -= 1;
        if source.is_low(bits) {
            *bits = source.top_up(*bits)?;
        }
        Ok(is_due)
    }
}
