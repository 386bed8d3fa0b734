//! Record of the coefficient bits that earlier scans contained (ITU-T T.81 G.1.1).

use super::scan_header::ScanHeader;

/// Precision that the coefficients of each component have reached.
pub(super) struct Progression {
    /// Lowest decoded bit position per component and coefficient, or `None`.
    reached: Vec<[Option<u32>; 64]>,
}

impl Progression {
    /// Makes a record without any bit.
    pub(super) fn new(components: usize) -> Self {
        Self {
            reached: vec![[None; 64]; components],
        }
    }

    /// Checks that a progressive scan continues where earlier ones ended (G.1.1.1.1, G.1.1.1.2),
    /// and records it.
    pub(super) fn record(&mut self, scan: &ScanHeader) -> Result<(), &'static str> {
        let (first, last) = scan.band;
        let (high, low) = scan.approximation;
        let is_valid_band = if first == 0 {
            last == 0
        } else {
            first <= last && last < 64 && scan.components.len() == 1
        };
        if !is_valid_band {
            return Err("band of a progressive scan");
        }
        if low > 13 || high != 0 && high != low + 1 {
            return Err("bit positions of a progressive scan");
        }
        let before = if high == 0 { None } else { Some(high) };
        for component in &scan.components {
            let reached = &mut self.reached[component.index];
            if first > 0 && reached[0].is_none() {
                return Err("AC scan before the component's DC scan");
            }
            if reached[first..=last].iter().any(|&bit| bit != before) {
                return Err("progressive scan out of order");
            }
            reached[first..=last].fill(Some(low));
        }
        Ok(())
    }

    /// Records a sequential scan, which contains all coefficients of its components.
    pub(super) fn record_sequential(&mut self, scan: &ScanHeader) {
        for component in &scan.components {
            self.reached[component.index] = [Some(0); 64];
        }
    }

    /// Returns true if every component was in a scan.
    pub(super) fn has_all_components(&self) -> bool {
        self.reached
            .iter()
            .all(|coefficients| coefficients[0].is_some())
    }

    /// Returns true if every bit of every coefficient is decoded. No scan can follow then.
    pub(super) fn is_complete(&self) -> bool {
        self.reached.iter().flatten().all(|&bit| bit == Some(0))
    }
}
