//! Removing pictures that are due.

use std::time::Duration;

use super::lifecycle::Lifecycle;
use crate::{
    database::PictureRow,
    failure::Failure,
    storage::{PictureKey, Storage},
};

/// Time that the removal of one picture may take. It must be shorter than
/// [`super::lifecycle::CLAIM_TIME`]: when that is over, another sweep may take the picture.
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
    /// The store may remove the objects later. The claim stays until that time is over.
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
                let Some(claimed) = self.lifecycle.claim(row).await? else {
                    continue;
                };
                progress = true;
                match self.remove(&claimed).await? {
                    Removed::Done => removed += 1,
                    Removed::Postponed => {}
                    Removed::Uncertain => return Ok(removed),
                }
            }
            if !progress {
                return Ok(removed);
            }
        }
    }

    async fn remove(&self, claimed: &PictureRow) -> Result<Removed, Failure> {
        let key = PictureKey::new(claimed.user_id, claimed.digest()?);
        let removal = tokio::time::timeout(REMOVAL_TIMEOUT, self.storage.remove(&key)).await;
        // After a time-out the removal goes on in a thread of its own, or in the store.
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
        // While the claim stays, nobody can store the same picture. So a late removal cannot hit a
        // new upload of it.
        if uncertain {
            return Ok(Removed::Uncertain);
        }
        self.lifecycle.postpone(claimed).await?;
        Ok(Removed::Postponed)
    }
}
