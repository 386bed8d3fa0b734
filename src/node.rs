//! Leases of a node: its number, and the right to run the cleanup for all nodes.
//!
//! Nodes that share a database need different numbers, because the number is part of every
//! identifier that a node generates. A number is leased in the database and renewed as long as the
//! process runs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    database::{Database, leases::Holder},
    failure::Failure,
    snowflake::{MAX_NODES, Node, Snowflakes},
};

/// Duration of a lease. The number of a node that died becomes free after this time.
const LEASE: Duration = Duration::from_secs(60);
/// Time before the end of a lease at which its node stops using the number.
///
/// The lease runs by the database's clock and the node measures with its own: the two may drift
/// apart.
const MARGIN: Duration = Duration::from_secs(10);
/// Pause between two renewals. Several may fail before the lease ends.
const INTERVAL: Duration = Duration::from_secs(10);
/// Prefix of the leases of numbers.
const NODE_PREFIX: &str = "node-";
/// Name of the lease for the cleanup.
const SWEEP: &str = "sweep";

/// The lease of a node's number, in a database that several nodes share. Clones are handles to the
/// same lease.
#[derive(Clone, Debug)]
pub struct NodeLease {
    database: Database,
    /// Stays the same for the life of the process, so that no own lease ever counts as another
    /// node's.
    holder: Holder,
    /// The number in force; absent after [`NodeLease::release`].
    number: Arc<Mutex<Option<u16>>>,
}

impl NodeLease {
    /// Leases a number that no other node has.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the database cannot be reached, [`Failure::Internal`] if all
    /// numbers are taken.
    pub async fn acquire(database: Database) -> Result<(Self, Node), Failure> {
        let holder = Holder::new().map_err(Failure::internal)?;
        let node = acquire_number(&database, &holder).await?;
        let number = Arc::new(Mutex::new(Some(node.number)));
        let lease = Self {
            database,
            holder,
            number,
        };
        Ok((lease, node))
    }

    /// Renews the lease periodically until `stop` is cancelled, then releases it.
    pub async fn keep_alive(self, ids: Arc<Snowflakes>, stop: CancellationToken) {
        loop {
            let pause = tokio::time::sleep(INTERVAL);
            if stop.run_until_cancelled(pause).await.is_none() {
                break;
            }
            match self.renew().await {
                Ok(Some(node)) => ids.set_node(node),
                Ok(None) => return,
                Err(failure) => {
                    tracing::error!(?failure, "cannot renew the lease of this node's number");
                }
            }
        }
        self.release().await;
    }

    /// Renews the lease, or leases another number if another node has taken this one.
    ///
    /// That happens if the database could not be reached until the lease had ended. Returns nothing
    /// after a release.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the database cannot be reached, [`Failure::Internal`] if all
    /// numbers are taken.
    pub async fn renew(&self) -> Result<Option<Node>, Failure> {
        // Locked until the database has answered: a release that overtook it would leave the number
        // leased.
        let mut current = self.number.lock().await;
        let Some(number) = *current else {
            return Ok(None);
        };
        if let Some(node) = take(&self.database, &self.holder, number).await? {
            return Ok(Some(node));
        }
        let node = acquire_number(&self.database, &self.holder).await?;
        *current = Some(node.number);
        tracing::warn!(
            lost = number,
            acquired = node.number,
            "another node has this node's number; it continues with a new one"
        );
        Ok(Some(node))
    }

    /// Acquires or renews the lease for the cleanup. Returns true if this node has it.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn acquire_sweep(&self) -> Result<bool, Failure> {
        // Twice as long as the pause between two cleanups, so that the same node normally keeps it.
        self.database
            .take_lease(SWEEP, &self.holder, LEASE * 2)
            .await
    }

    /// Returns true if other nodes have numbers.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn others_active(&self) -> Result<bool, Failure> {
        let others = self
            .database
            .leases_of_others(NODE_PREFIX, &self.holder)
            .await?;
        Ok(others > 0)
    }

    /// Releases the number in force. Does nothing the second time.
    pub async fn release(&self) {
        // Locked until the database has answered: whoever releases at the same time must not close
        // the database before that.
        let mut current = self.number.lock().await;
        let Some(number) = current.take() else {
            return;
        };
        let ended = self
            .database
            .end_lease(&lease_name(number), &self.holder)
            .await;
        if let Err(failure) = ended {
            tracing::warn!(
                ?failure,
                number,
                "cannot release this node's number; it becomes free when its lease ends"
            );
        }
    }
}

/// Leases the lowest free number.
async fn acquire_number(database: &Database, holder: &Holder) -> Result<Node, Failure> {
    for number in 0..MAX_NODES {
        if let Some(node) = take(database, holder, number).await? {
            return Ok(node);
        }
    }
    Err(Failure::internal(format!(
        "all {MAX_NODES} node numbers are taken"
    )))
}

/// Leases or renews one number. Returns nothing if another node has it.
async fn take(database: &Database, holder: &Holder, number: u16) -> Result<Option<Node>, Failure> {
    // Counted from before the request, because the answer may be slow while the lease already runs.
    let valid_until = Instant::now() + LEASE - MARGIN;
    let taken = database
        .take_lease(&lease_name(number), holder, LEASE)
        .await?;
    Ok(taken.then_some(Node {
        number,
        valid_until: Some(valid_until),
    }))
}

fn lease_name(number: u16) -> String {
    format!("{NODE_PREFIX}{number}")
}
