//! Record of the coefficient bits that the scans so far have coded: ITU-T T.81 G.1.1.

use super::scan_header::ScanHeader;

/// Progress of the coefficients of each component.
pub(super) struct Progression {
    /// Lowest bit position decoded of each coefficient of each component, or `None` before its
    /// first scan.
    reached: Vec<[Option<u32>; 64]>,
}

impl Progression {
    /// Returns the state before the first scan.
    pub(super) fn new(components: usize) -> Self {
        Self {
            reached: vec![[None; 64]; components],
        }
    }

    /// Records a progressive scan.
    ///
    /// # Errors
    /// A text that names the fault, if the spectral band or the bit positions are invalid
    /// (G.1.1.1.1, G.1.1.1.2), or if the scan does not continue the earlier scans of its
    /// coefficients.
    pub(super) fn record(&mut self, scan: &ScanHeader) -> Result<(), &'static str> {
        let (first, last) = scan.band;
        let (high, low) = scan.approximation;
        // DC coefficients have scans of their own. AC scans have one component.
        let is_valid_band = if first == 0 {
            last == 0
        } else {
            first <= last && last < 64 && scan.components.len() == 1
        };
        if !is_valid_band {
            return Err("invalid spectral band of a progressive scan");
        }
        // Al is at most 13 (table B.3). A refinement adds exactly one bit, so Ah is Al + 1.
        if low > 13 || high != 0 && high != low + 1 {
            return Err("invalid bit positions of a progressive scan");
        }
        let before = if high == 0 { None } else { Some(high) };
        for component in &scan.components {
            let reached = &mut self.reached[component.index];
            // G.1.1.1.1: the DC scan of a component precedes its AC scans.
            if first > 0 && reached[0].is_none() {
                return Err("AC scan before the component's DC scan");
            }
            // libjpeg only warns here. This decoder refuses, because a repeated first scan would
            // find masks and values that are set already.
            if reached[first..=last].iter().any(|&bit| bit != before) {
                return Err("progressive scan that repeats or skips bits");
            }
            reached[first..=last].fill(Some(low));
        }
        Ok(())
    }

    /// Records a sequential scan. It codes all coefficients of its components.
    pub(super) fn record_sequential(&mut self, scan: &ScanHeader) {
        for component in &scan.components {
            self.reached[component.index] = [Some(0); 64];
        }
    }

    /// Whether every component had a scan with its DC coefficients.
    pub(super) fn has_all_components(&self) -> bool {
        self.reached
            .iter()
            .all(|coefficients| coefficients[0].is_some())
    }

    /// Whether all bits of all coefficients are decoded, so that no further scan is needed.
    pub(super) fn is_complete(&self) -> bool {
        self.reached.iter().flatten().all(|&bit| bit == Some(0))
    }
}
