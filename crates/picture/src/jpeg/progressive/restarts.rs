//! Restart intervals of progressive scans: ITU-T T.81 E.2.4.

use crate::jpeg::bits::BitReader;
use crate::jpeg::source::{EntropySource, Fault};

/// Counter of MCUs that consumes the restart markers between them.
pub(super) struct Restarts {
    /// Number of MCUs between two markers, or 0 if there are none.
    interval: usize,
    /// Number of MCUs before the next marker.
    until_next: usize,
    /// Number of markers consumed, modulo 256. The marker code has the lowest three bits.
    number: u8,
}

impl Restarts {
    /// Makes a counter at the start of a scan.
    pub(super) fn new(interval: usize) -> Self {
        let until_next = if interval == 0 { usize::MAX } else { interval };
        Self {
            interval,
            until_next,
            number: 0,
        }
    }

    /// Counts an MCU. Consumes the restart marker before it, and returns true if there is one.
    ///
    /// # Errors
    /// The errors of [`EntropySource::restart`] and [`EntropySource::top_up`].
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
