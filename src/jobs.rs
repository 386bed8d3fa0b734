//! Background jobs: they remove due pictures, expired rows, and orphans in the store.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{
    avatars::Avatars,
    clock::Clock,
    database::{Database, leases::Holder},
    failure::Failure,
    maintenance::{Log, Maintenance},
    node::NodeLease,
    storage::Storage,
};

/// Pause between two rounds.
const INTERVAL: Duration = Duration::from_secs(60);
/// Name of the lease on the daily garbage collection. The node that gets it runs the collection.
const COLLECTION: &str = "collection";
/// Time that a garbage collection may take before another node may start one too.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Time between two garbage collections, for all nodes together.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The background jobs of a node.
#[derive(Clone)]
pub struct Jobs {
    /// Uploads, removals and sweeps.
    pub avatars: Avatars,
    /// Garbage collection.
    pub maintenance: Maintenance,
    /// Expired sessions and attempts.
    pub database: Database,
    /// Files that interrupted uploads left.
    pub storage: Storage,
    /// The present time.
    pub clock: Clock,
    /// This node's lease, if other nodes may share the database.
    pub lease: Option<NodeLease>,
}

impl Jobs {
    /// Runs a round of jobs every minute until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.run_once().await {
                Err(failure) => {
                    tracing::error!(
                        ?failure,
                        "background jobs failed; the next round tries again"
                    );
                }
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed pictures that are not in use"),
            }
            let pause = tokio::time::sleep(INTERVAL);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Runs one round of jobs. Returns how many pictures were removed.
    ///
    /// # Errors
    /// Store or database cannot be reached. The next round does the rest.
    pub async fn run_once(&self) -> Result<usize, Failure> {
        self.storage.remove_unfinished(&self.clock).await?;
        // Everything below concerns all nodes, so one of them does it.
        if let Some(lease) = &self.lease
            && !lease.acquire_sweep().await?
        {
            return Ok(0);
        }
        self.database
            .delete_expired_sessions(self.clock.now())
            .await?;
        self.database
            .delete_expired_attempts(self.clock.now())
            .await?;
        let removed = self.avatars.sweep(None).await?;
        Ok(removed + self.collect_daily().await?)
    }

    /// Removes orphans from the store, if no node did so within a day. Returns their number.
    async fn collect_daily(&self) -> Result<usize, Failure> {
        // A new holder each time. A holder that takes its own lease again would prolong it, and the
        // collection would run every minute.
        let holder = Holder::new().map_err(Failure::internal)?;
        // Extended to a day only after a success: a node that dies must not block all others so long.
        let leased = self.database.take_lease(COLLECTION, &holder, HOUR).await?;
        if !leased {
            return Ok(0);
        }
        match self.maintenance.gc(true, &Log).await {
            Ok(report) => {
                self.database.take_lease(COLLECTION, &holder, DAY).await?;
                Ok(usize::try_from(report.removed).unwrap_or(usize::MAX))
            }
            Err(failure) => {
                // Without the lease, the next round tries again instead of waiting for an hour.
                if let Err(failure) = self.database.end_lease(COLLECTION, &holder).await {
                    tracing::warn!(?failure, "cannot give back the lease on garbage collection");
                }
                Err(failure)
            }
        }
    }
}
