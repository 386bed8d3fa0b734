//! Removing pictures that no row names any more.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Avatars;
use crate::{
    clock::Milliseconds, database::leases::Holder, failure::Failure, maintenance, node::Membership,
    storage::PictureKey,
};

/// How long a sweep may take over one picture, before another takes it for dead.
const CLAIM_TIME: Milliseconds = 10 * 60 * 1000;
/// How long the removal of a picture may take: it must have ended when another sweep may take over.
const REMOVAL_TIME: Duration = Duration::from_secs(60);
/// How long a picture is left alone that could not be removed.
const PAUSE_AFTER_FAILURE: Milliseconds = 60 * 1000;
/// Rows read at once.
const BATCH: u64 = 100;
/// What is taken for looking through the whole store, and how often that is done.
const COLLECTION: &str = "collection";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The pause between two sweeps.
const INTERVAL: Duration = Duration::from_secs(60);

impl Avatars {
    /// Removes the pictures that are due: of one user, or of all. Returns how many were removed.
    /// One that the store does not let go is left for a later sweep.
    ///
    /// # Errors
    /// The database is out of reach; the rest is left for the next sweep.
    pub async fn sweep(&self, user: Option<i64>) -> Result<usize, Failure> {
        let mut removed = 0;
        loop {
            let due = self
                .database
                .due_pictures(user, self.clock.now(), BATCH)
                .await?;
            let mut progress = false;
            for row in &due {
                let until = self.clock.now() + CLAIM_TIME;
                if !self.database.claim_picture(row, until).await? {
                    continue;
                }
                let key = PictureKey::new(row.user_id, row.digest()?);
                progress = true;
                let removal = tokio::time::timeout(REMOVAL_TIME, self.storage.remove(&key)).await;
                // What takes too long goes on in a thread of its own, or in the store.
                let late = removal.is_err() || self.storage.may_apply_late();
                if let Err(failure) = removal
                    .unwrap_or_else(|_| Err(Failure::unavailable("the removal took too long")))
                {
                    tracing::error!(?failure, %key, "a picture could not be removed; it is tried again");
                    // The store may remove it later all the same. The claim stays until that is over, so that nobody
                    // stores the same picture meanwhile.
                    if late {
                        return Ok(removed);
                    }
                    let again = self.clock.now() + PAUSE_AFTER_FAILURE;
                    let id = self.ids.next().await?;
                    self.database
                        .postpone_picture(row.id, until, id, again)
                        .await?;
                    continue;
                }
                self.database.forget_picture(row.id, until).await?;
                removed += 1;
            }
            if !progress {
                return Ok(removed);
            }
        }
    }

    /// Sweeps from time to time until told to stop; of several nodes one at a time.
    pub async fn sweep_forever(self, membership: Option<Membership>, stop: CancellationToken) {
        loop {
            match self.clean_up(membership.as_ref()).await {
                Err(failure) => tracing::error!(?failure, "the sweep failed; it is tried again"),
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed pictures no longer in use"),
            }
            if stop
                .run_until_cancelled(tokio::time::sleep(INTERVAL))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    async fn clean_up(&self, membership: Option<&Membership>) -> Result<usize, Failure> {
        self.storage.remove_unfinished(&self.clock).await?;
        if let Some(membership) = membership
            && !membership.sweeps().await?
        {
            return Ok(0);
        }
        self.database
            .delete_expired_sessions(self.clock.now())
            .await?;
        self.database
            .delete_expired_attempts(self.clock.now())
            .await?;
        let mut removed = self.sweep(None).await?;
        // Whoever is the first to ask does it, and a day passes before anybody can again.
        let nobody = Holder::new().map_err(Failure::internal)?;
        if self.database.take_lease(COLLECTION, &nobody, DAY).await? {
            let collected = self.collect(true, &maintenance::Log).await?;
            removed += usize::try_from(collected.removed).unwrap_or(usize::MAX);
        }
        Ok(removed)
    }

    /// Sweeps a user's pictures now; where that fails, the next sweep does it.
    pub(super) async fn sweep_or_leave(&self, user: i64) {
        if let Err(failure) = self.sweep(Some(user)).await {
            tracing::error!(
                ?failure,
                user,
                "pictures could not be removed at once; the sweep tries again"
            );
        }
    }
}
