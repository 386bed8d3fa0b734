//! Restart intervals of progressive scans: ITU-T T.81 E.1.4.

use crate::jpeg::bits::BitReader;
use crate::jpeg::source::{EntropySource, Fault};

/// Counts MCUs and consumes restart markers.
pub(super) struct Restarts {
    interval: usize,
    until_next: usize,
    number: u8,
}

impl Restarts {
    pub(super) fn new(interval: usize) -> Self {
        let until_next = if interval == 0 { usize::MAX } else { interval };
        Self {
            interval,
            until_next,
            number: 0,
        }
    }

    /// Counts a step. Consumes the restart marker before it, and returns true if there is one.
    #[inline(always)]
    pub(super) fn step(
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
