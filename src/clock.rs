//! The clock of the service. Tests replace it to control the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970-01-01 00:00 UTC, or a duration in milliseconds. Unit of all stored
/// times.
pub type Milliseconds = i64;

/// A source of the current time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The clock of the operating system.
    System,
    /// A clock that only [`Clock::advance`] moves.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Creates a clock that stays at `now` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(now: Milliseconds) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now)))
    }

    /// Returns the current time.
    #[must_use]
    pub fn now(&self) -> Milliseconds {
        match self {
            Self::System => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the only place that reads the system clock"
                )]
                let now = SystemTime::now();
                let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward. Does nothing with the system clock.
    pub fn advance(&self, step: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(
                i64::try_from(step.as_millis()).unwrap_or(i64::MAX),
                Ordering::SeqCst,
            );
        }
    }
}
