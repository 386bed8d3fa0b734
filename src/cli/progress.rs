//! The progress bar of commands. It is shown on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::maintenance::Progress;

/// Maximum number of findings that are printed. For the rest, only the number is printed.
const MAX_FINDINGS: u64 = 1000;

/// A progress bar on standard error, with rate and remaining time. Findings go to standard output,
/// one per line.
pub(super) struct Bar {
    bar: ProgressBar,
    findings: std::sync::atomic::AtomicU64,
}

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::no_length();
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos} of {human_len}, {per_sec}, {eta} left",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            findings: 0.into(),
        }
    }

    /// Removes the bar, and prints the number of findings that were left out.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
        let findings = self.findings.load(std::sync::atomic::Ordering::Relaxed);
        if findings > MAX_FINDINGS {
            let _ = super::output::print(&format!("… and {} more\n", findings - MAX_FINDINGS));
        }
    }
}

impl Progress for Bar {
    fn expect(&self, steps: u64) {
        self.bar.set_length(steps);
    }

    fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    fn find(&self, finding: &str) {
        let before = self
            .findings
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if before < MAX_FINDINGS {
            // The bar is hidden while a line is printed, because both may be on one terminal.
            self.bar.suspend(|| {
                let _ = super::output::print(&format!("{finding}\n"));
            });
        }
    }
}
