//! The time of day, handed in so that tests can hold it still.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970-01-01 00:00 UTC, the unit of all stored times.
pub type Milliseconds = i64;

/// Tells the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that moves only when it is told to.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(now: Milliseconds) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now)))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Milliseconds {
        match self {
            Self::System => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the one place where the machine's clock is read"
                )]
                let now = SystemTime::now();
                let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a held clock on; the machine's clock is not ours to move.
    pub fn advance(&self, step: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(
                i64::try_from(step.as_millis()).unwrap_or(i64::MAX),
                Ordering::SeqCst,
            );
        }
    }
}
