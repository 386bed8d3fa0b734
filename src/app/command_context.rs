//! The parts that an operator's commands need. A service may run beside them.

use std::{fs::File, sync::Arc};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::open::{self, Foundation};
use crate::{
    auth::password::Passwords,
    avatars::{Avatars, lifecycle::Lifecycle},
    clock::Clock,
    config::Config,
    database::Database,
    identicon::Identicons,
    maintenance::{Maintenance, proof_policy},
    metrics::Metrics,
    snowflake::{Node, Snowflakes},
    storage::{Storage, StorageLocation},
    workers::{Program, Workers},
};

/// The parts that commands work with.
#[expect(missing_docs, reason = "most fields are named after their types")]
pub struct CommandContext {
    pub config: Config,
    pub database: Database,
    pub storage: Storage,
    pub avatars: Avatars,
    pub maintenance: Maintenance,
    /// Workers of the service's policy.
    pub workers: Workers,
    /// Workers that only prove that stored pictures decode.
    pub proof: Workers,
    pub clock: Clock,
    /// Location of the store.
    pub location: StorageLocation,
    foundation: Arc<Foundation>,
    stop: CancellationToken,
}

impl CommandContext {
    /// Opens the context, runs `work` with it, and closes it, also when `work` fails.
    ///
    /// # Errors
    /// As [`Self::open`] and `work`.
    pub async fn run<T>(
        config: Config,
        clock: Clock,
        program: Program,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let context = Self::open(config, clock, program).await?;
        let outcome = work(&context).await;
        context.close().await;
        outcome
    }

    /// Opens what the settings name. No worker process is started.
    ///
    /// # Errors
    /// A part cannot be opened, or another command runs on the same data directory.
    pub async fn open(config: Config, clock: Clock, program: Program) -> anyhow::Result<Self> {
        let lock = open::lock_for_command(&config)?;
        // Not `Node::SINGLE`: a service that runs beside this command uses it, and two processes
        // with one number would make the same identifiers.
        let foundation = Arc::new(Foundation::open(&config, lock, Node::COMMAND).await?);
        let opened = Self::open_parts(config, clock, program, Arc::clone(&foundation)).await;
        if opened.is_err() {
            foundation.close().await;
        }
        opened
    }

    async fn open_parts(
        config: Config,
        clock: Clock,
        program: Program,
        foundation: Arc<Foundation>,
    ) -> anyhow::Result<Self> {
        let database = foundation.database.clone();
        // Commands return no URLs of pictures.
        let no_url = String::new();
        let (location, storage) = open::open_storage(&config, &database, no_url, false).await?;
        let workers = |policy| {
            let budget = open::budget(&config, &policy)?;
            let (policy, metrics) = (Arc::new(policy), Metrics::default());
            anyhow::Ok(Workers::new(budget, policy, program.clone(), metrics))
        };
        let ids = Arc::new(Snowflakes::new(clock.clone(), foundation.node));
        let stop = CancellationToken::new();
        if let Some(lease) = foundation.lease.clone() {
            tokio::spawn(lease.keep_alive(Arc::clone(&ids), stop.clone()));
        }
        let policy = open::policy(&config);
        let identicons = Identicons::new("", &policy.sizes, policy.format, policy.quality);
        let proof = workers(proof_policy(&policy))?;
        let workers = workers(policy)?;
        let grace = config.storage.grace.milliseconds();
        let lifecycle = Lifecycle::new(database.clone(), clock.clone(), ids, grace);
        let avatars = Avatars::new(
            workers.clone(),
            storage.clone(),
            lifecycle.clone(),
            identicons,
        );
        let maintenance = Maintenance {
            database: database.clone(),
            storage: storage.clone(),
            workers: workers.clone(),
            avatars: avatars.clone(),
            lifecycle,
            clock: clock.clone(),
        };
        Ok(Self {
            config,
            database,
            storage,
            avatars,
            maintenance,
            workers,
            proof,
            clock,
            location,
            foundation,
            stop,
        })
    }

    /// Prevents services from starting on the same data directory while the file is held. Returns
    /// nothing if a service runs already.
    #[must_use]
    pub fn shut_out_service(&self) -> Option<File> {
        open::lock(&self.config).ok()
    }

    /// Returns true if other nodes run on the same database.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn nodes_run(&self) -> anyhow::Result<bool> {
        match &self.foundation.lease {
            Some(lease) => Ok(lease.others_active().await?),
            None => Ok(false),
        }
    }

    /// Starts a thread that hashes passwords.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn passwords(&self) -> anyhow::Result<Passwords> {
        Passwords::new(self.config.accounts.bcrypt_cost, 1)
            .context("the thread that hashes passwords cannot be started")
    }

    /// Ends the workers, gives back the node number, and closes the database.
    pub async fn close(self) {
        self.workers.close();
        self.proof.close();
        self.stop.cancel();
        self.foundation.close().await;
    }
}
