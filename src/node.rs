//! This process among others on the same database: its number, and what one node does for all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    database::{Database, leases::Holder},
    failure::Failure,
    snowflake::{self, MAX_NODES, Snowflakes},
};

/// How long a number is leased for. A node that died frees its number after this time.
const LEASE: Duration = Duration::from_secs(60);
/// What a number is used less long than it is leased, since clocks do not run alike.
const MARGIN: Duration = Duration::from_secs(10);
/// How often the lease is prolonged.
const INTERVAL: Duration = Duration::from_secs(10);
/// What the leases of numbers begin with.
const NUMBER: &str = "node-";
/// What a node has while it sweeps.
const SWEEP: &str = "sweep";

/// A node that shares its database with others.
#[derive(Clone, Debug)]
pub struct NodeLease {
    database: Database,
    holder: Holder,
    number: u16,
}

impl NodeLease {
    /// Takes a number that no other node has.
    ///
    /// # Errors
    /// The database is out of reach, or all numbers are taken.
    pub async fn acquire(database: Database) -> Result<(Self, snowflake::Node), Failure> {
        let holder = Holder::new().map_err(Failure::internal)?;
        for number in 0..MAX_NODES {
            let lease = Self {
                database: database.clone(),
                holder: holder.clone(),
                number,
            };
            if let Some(node) = lease.renew().await? {
                return Ok((lease, node));
            }
        }
        Err(Failure::internal("all node numbers are taken"))
    }

    /// Prolongs the lease from time to time until told to stop, and gives the number back then.
    pub async fn keep_alive(self, ids: Arc<Snowflakes>, stop: CancellationToken) {
        loop {
            let pause = tokio::time::sleep(INTERVAL);
            if stop.run_until_cancelled(pause).await.is_none() {
                break;
            }
            match self.renew().await {
                Ok(Some(node)) => ids.set_node(node),
                // The lease ran out while the database was out of reach, and another node has the number.
                Ok(None) => match Self::acquire(self.database.clone()).await {
                    Ok((lease, node)) => {
                        tracing::warn!(
                            lost = self.number,
                            now = node.number,
                            "this node goes on under another number"
                        );
                        ids.set_node(node);
                        return Box::pin(lease.keep_alive(ids, stop)).await;
                    }
                    Err(failure) => tracing::error!(?failure, "this node has no number"),
                },
                Err(failure) => {
                    tracing::error!(?failure, "this node's number could not be prolonged");
                }
            }
        }
        self.release().await;
    }

    /// Whether it falls to this node to sweep now.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn acquire_sweep(&self) -> Result<bool, Failure> {
        self.database
            .take_lease(SWEEP, &self.holder, LEASE * 2)
            .await
    }

    /// Whether other nodes have numbers.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn others_active(&self) -> Result<bool, Failure> {
        let others = self.database.leases_of_others(NUMBER, &self.holder).await?;
        Ok(others > 0)
    }

    /// Gives the number back.
    pub async fn release(&self) {
        let ended = self.database.end_lease(&self.lease(), &self.holder).await;
        if let Err(failure) = ended {
            tracing::warn!(
                ?failure,
                "this node's number stays taken until its lease runs out"
            );
        }
    }

    async fn renew(&self) -> Result<Option<snowflake::Node>, Failure> {
        // The time is counted from before the database is asked, since the answer may be slow.
        let valid_until = Instant::now() + LEASE - MARGIN;
        let taken = self
            .database
            .take_lease(&self.lease(), &self.holder, LEASE)
            .await?;
        Ok(taken.then_some(snowflake::Node {
            number: self.number,
            valid_until: Some(valid_until),
        }))
    }

    fn lease(&self) -> String {
        format!("{NUMBER}{}", self.number)
    }
}
