//! Removing pictures that are due.

use std::time::Duration;

use super::lifecycle::Lifecycle;
use crate::{
    database::PictureRow,
    failure::Failure,
    storage::{PictureKey, Storage},
};

/// Timeout of the removal of one picture. It must be shorter than
/// [`super::lifecycle::CLAIM_TIME`]: after that another sweep may claim the picture.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Rows read at once.
const BATCH: u64 = 100;

/// Removes pictures that are due. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sweeper {
    storage: Storage,
    lifecycle: Lifecycle,
}

/// Outcome of the removal of one picture.
enum Removed {
    Done,
    /// Some objects are left. The row was given back for a later sweep.
    Postponed,
    /// The store may still remove objects later. The claim stays until it runs out.
    Uncertain,
}

impl Sweeper {
    pub(super) fn new(storage: Storage, lifecycle: Lifecycle) -> Self {
        Self { storage, lifecycle }
    }

    /// Removes the pictures that are due, of one user or of all. Returns how many were removed.
    ///
    /// A picture that cannot be removed is left for a later sweep.
    ///
    /// # Errors
    /// The database cannot be reached. The rest is left for the next sweep.
    pub(super) async fn sweep(&self, user: Option<i64>) -> Result<usize, Failure> {
        let mut removed = 0;
        loop {
            let due = self.lifecycle.due(user, BATCH).await?;
            let mut progress = false;
            for row in &due {
                // Another node may have claimed the row first.
                let Some(claimed) = self.lifecycle.claim(row).await? else {
                    continue;
                };
                progress = true;
                match self.remove(&claimed).await? {
                    Removed::Done => removed += 1,
                    Removed::Postponed => {}
                    // The store is probably down, so the other pictures wait for the next sweep.
                    Removed::Uncertain => return Ok(removed),
                }
            }
            // Rows that were postponed are not due any more, so the loop ends.
            if !progress {
                return Ok(removed);
            }
        }
    }

    /// Removes the objects of a claimed row, and then the row.
    async fn remove(&self, claimed: &PictureRow) -> Result<Removed, Failure> {
        let key = PictureKey::new(claimed.user_id, claimed.digest()?);
        let removal = tokio::time::timeout(REMOVAL_TIMEOUT, self.storage.remove(&key)).await;
        // After a timeout the removal continues in a blocking thread, or in the store.
        let uncertain = removal.is_err() || self.storage.may_apply_late();
        let removal = removal.unwrap_or_else(|_| {
            let seconds = REMOVAL_TIMEOUT.as_secs();
            Err(Failure::unavailable(format!(
                "the removal did not end within {seconds} s"
            )))
        });
        let Err(failure) = removal else {
            self.lifecycle.delete(claimed).await?;
            return Ok(Removed::Done);
        };
        tracing::error!(?failure, %key, "cannot remove a picture; a later sweep tries again");
        // While the claim stays, no upload can store the same picture. So a late removal cannot
        // remove objects of a new upload.
        if uncertain {
            return Ok(Removed::Uncertain);
        }
        self.lifecycle.postpone(claimed).await?;
        Ok(Removed::Postponed)
    }
}
