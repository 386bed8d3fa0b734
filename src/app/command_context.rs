//! The parts that an operator's commands need, beside a service that may run meanwhile.

use std::{fs::File, sync::Arc};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::{avatars, join, lock_file, open_database, open_storage, policy};
use crate::{
    auth::password::Passwords,
    avatars::Avatars,
    clock::Clock,
    config::Config,
    database::Database,
    maintenance::proof_policy,
    metrics::Metrics,
    node::Membership,
    snowflake::{Node, Snowflakes},
    storage::StorageLocation,
    workers::{Program, Workers},
};

/// Keeps two commands apart on one data directory, and a service that starts from taking their work for abandoned.
const LOCK: &str = "commands.lock";

/// Everything that commands need.
#[expect(missing_docs, reason = "most fields are named after their types")]
pub struct CommandContext {
    pub config: Config,
    pub database: Database,
    pub avatars: Avatars,
    /// Workers that prove what is stored to be pictures.
    pub proof: Workers,
    pub clock: Clock,
    /// Where pictures lie.
    pub location: StorageLocation,
    membership: Option<Membership>,
    stop: CancellationToken,
    _lock: File,
}

impl CommandContext {
    /// Opens what the settings name. No worker process is started.
    ///
    /// # Errors
    /// What cannot be opened, and why; another command is at work on the same data directory.
    pub async fn open(config: Config, clock: Clock, program: Program) -> anyhow::Result<Self> {
        let lock = lock(&config)?;
        let database = open_database(&config).await?;
        let (membership, node) = if config.database_is_shared() {
            let (membership, node) = join(&database).await?;
            (Some(membership), node)
        } else {
            // The service that may run beside has the other number.
            (None, Node::COMMAND)
        };
        let ids = Arc::new(Snowflakes::new(clock.clone(), node));
        let stop = CancellationToken::new();
        if let Some(membership) = membership.clone() {
            tokio::spawn(membership.stay(Arc::clone(&ids), stop.clone()));
        }
        // No URL is handed out here.
        let (location, storage) = open_storage(&config, &database, String::new(), false).await?;
        let workers = |policy| {
            let budget = super::budget(&config, &policy)?;
            let policy = Arc::new(policy);
            anyhow::Ok(Workers::new(
                budget,
                policy,
                program.clone(),
                Metrics::default(),
            ))
        };
        let proof = workers(proof_policy(&policy(&config)))?;
        let workers = workers(policy(&config))?;
        let avatars = avatars(
            &config,
            database.clone(),
            storage,
            workers,
            clock.clone(),
            ids,
            "",
        );
        Ok(Self {
            config,
            database,
            avatars,
            proof,
            clock,
            location,
            membership,
            stop,
            _lock: lock,
        })
    }

    /// Keeps services away that would begin on the same data directory; nothing, where one runs.
    #[must_use]
    pub fn shut_out_service(&self) -> Option<File> {
        super::lock(&self.config).ok()
    }

    /// Whether other nodes run on the same database.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn nodes_run(&self) -> anyhow::Result<bool> {
        match &self.membership {
            Some(membership) => Ok(membership.has_company().await?),
            None => Ok(false),
        }
    }

    /// What hashes passwords.
    ///
    /// # Errors
    /// Its threads cannot be started.
    pub fn passwords(&self) -> anyhow::Result<Passwords> {
        Passwords::new(self.config.accounts.bcrypt_cost, 1)
            .context("the threads that hash passwords cannot be started")
    }

    /// Gives back what others wait for, and closes the database.
    pub async fn close(self) {
        self.stop.cancel();
        self.avatars.workers.close();
        self.proof.close();
        if let Some(membership) = &self.membership {
            membership.leave().await;
        }
        self.database.close().await;
    }
}

/// Holds the lock of commands.
///
/// # Errors
/// Another command has it.
pub(super) fn lock(config: &Config) -> anyhow::Result<File> {
    lock_file(config, LOCK, "another command of veraicon")
}
