//! The service: creates all parts and connects them.

mod command_context;
mod open;

pub use self::{
    command_context::CommandContext,
    open::{budget, lock, open_database, policy, secrets},
};

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use jiff::tz::TimeZone;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use veraicon_picture::Policy;

use self::open::Foundation;
use crate::{
    accounts::Accounts,
    auth::{password::Passwords, session::Sessions, throttle::Throttle, token::Tokens},
    avatars::{Avatars, lifecycle::Lifecycle},
    clock::Clock,
    config::{Config, SandboxNeed},
    database::Database,
    failure::Failure,
    identicon::Identicons,
    jobs::Jobs,
    maintenance::Maintenance,
    metrics::Metrics,
    snowflake::{Node, Snowflakes},
    storage::{Storage, StorageLocation},
    workers::{Program, Sandbox, Workers},
};

/// Time that background jobs have to end when the service stops.
const JOBS_TIMEOUT: Duration = Duration::from_secs(5);

/// The service's parts. Cheap to clone: the parts are shared.
#[derive(Clone)]
pub struct App(Arc<AppParts>);

/// The parts of an [`App`].
#[expect(missing_docs, reason = "the fields are named after their types")]
pub struct AppParts {
    pub config: Config,
    pub policy: Arc<Policy>,
    pub accounts: Accounts,
    pub passwords: Passwords,
    pub sessions: Sessions,
    pub avatars: Avatars,
    pub identicons: Identicons,
    pub maintenance: Maintenance,
    pub workers: Workers,
    pub storage: Storage,
    pub database: Database,
    pub time_zone: TimeZone,
    pub metrics: Metrics,
    pub sandbox: Sandbox,
    pub jobs: Jobs,
    ids: Arc<Snowflakes>,
    foundation: Arc<Foundation>,
    public_url: String,
    background: TaskTracker,
    stop: CancellationToken,
}

impl App {
    /// Opens everything that the settings name. `port` is the port that the service is bound to;
    /// worker processes run `program`.
    ///
    /// # Errors
    /// A part cannot be opened; the text names its setting and the cause.
    pub async fn open(
        config: Config,
        clock: Clock,
        port: u16,
        program: Program,
    ) -> anyhow::Result<Self> {
        let lock = lock(&config)?;
        let foundation = Arc::new(Foundation::open(&config, lock, Node::SINGLE).await?);
        // On failure the node number is given back, so that a restart can lease it at once.
        let opened = Self::open_parts(config, clock, port, program, Arc::clone(&foundation)).await;
        if opened.is_err() {
            foundation.close().await;
        }
        opened
    }

    async fn open_parts(
        config: Config,
        clock: Clock,
        port: u16,
        program: Program,
        foundation: Arc<Foundation>,
    ) -> anyhow::Result<Self> {
        let (database, lease) = (foundation.database.clone(), foundation.lease.clone());
        let public_url = config.public_url(port);
        let (signing, previous) = secrets(&config, clock.now())?;
        let tokens = Tokens::new(
            &signing,
            &previous,
            config.tokens.access_ttl,
            config.tokens.refresh_ttl,
        );
        let url_base = config.storage.public_url.as_deref().unwrap_or(&public_url);
        let url_base = url_base.trim_end_matches('/').to_owned();
        let (location, storage) = open::open_storage(&config, &database, url_base, true).await?;
        let policy = Arc::new(policy(&config));
        let storage = storage.with_cache(config.storage.cache.0, &policy.sizes, policy.format);
        let metrics = Metrics::default();
        let budget = budget(&config, &policy)?;
        let workers = Workers::new(budget, Arc::clone(&policy), program, metrics.clone());
        let ids = Arc::new(Snowflakes::new(clock.clone(), foundation.node));
        let grace = config.storage.grace.milliseconds();
        let lifecycle = Lifecycle::new(database.clone(), clock.clone(), Arc::clone(&ids), grace);
        if lease.is_none() && matches!(location, StorageLocation::Folder(_)) {
            release_claims(&config, &lifecycle).await?;
        }
        let identicons = Identicons::new(&public_url, &policy.sizes, policy.format, policy.quality);
        let avatars = Avatars::new(
            workers.clone(),
            storage.clone(),
            lifecycle.clone(),
            identicons.clone(),
        );
        let maintenance = Maintenance {
            database: database.clone(),
            storage: storage.clone(),
            workers: workers.clone(),
            avatars: avatars.clone(),
            lifecycle,
            clock: clock.clone(),
        };
        let jobs = Jobs {
            avatars: avatars.clone(),
            maintenance: maintenance.clone(),
            database: database.clone(),
            storage: storage.clone(),
            clock: clock.clone(),
            lease: lease.clone(),
        };
        let passwords = Passwords::new(config.accounts.bcrypt_cost, open::cores())
            .context("the threads that hash passwords cannot be started")?;
        let throttle = Throttle::new(
            database.clone(),
            clock.clone(),
            signing,
            config.limits.clone(),
        );
        let accounts = Accounts::new(
            database.clone(),
            passwords.clone(),
            throttle,
            clock.clone(),
            Arc::clone(&ids),
            config.accounts.registration,
        );
        let time_zone = TimeZone::get(&config.accounts.time_zone).context("accounts.time_zone")?;
        // Processes start last, so that none is left if a step above fails.
        let sandbox = workers.open().await;
        let sandbox = sandbox.context("a worker process cannot be started")?;
        check_sandbox(&sandbox, &config)?;
        Ok(Self(Arc::new(AppParts {
            accounts,
            passwords,
            sessions: Sessions::new(database.clone(), tokens, clock, Arc::clone(&ids)),
            ids,
            foundation,
            time_zone,
            metrics,
            sandbox,
            policy,
            avatars,
            identicons,
            maintenance,
            workers,
            storage,
            database,
            jobs,
            public_url,
            background: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
        })))
    }

    /// Returns the URL under which clients reach the service.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// Checks that the database and the store answer and that worker processes run. Returns the
    /// number of these processes.
    ///
    /// # Errors
    /// The failure of the first part that does not answer.
    pub async fn check_ready(&self) -> Result<usize, Failure> {
        self.database.ping().await?;
        self.storage.ping().await?;
        match self.workers.alive() {
            0 => Err(Failure::internal("no worker process is running")),
            processes => Ok(processes),
        }
    }

    /// Starts the background jobs.
    pub fn start_background_work(&self) {
        let AppParts {
            background,
            jobs,
            ids,
            foundation,
            stop,
            ..
        } = &*self.0;
        background.spawn(jobs.clone().run(stop.clone()));
        if let Some(lease) = foundation.lease.clone() {
            background.spawn(lease.keep_alive(Arc::clone(ids), stop.clone()));
        }
    }

    /// Ends the background jobs and the worker processes, and closes the database.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.background.close();
        let ended = tokio::time::timeout(JOBS_TIMEOUT, self.0.background.wait()).await;
        if ended.is_err() {
            let seconds = JOBS_TIMEOUT.as_secs();
            tracing::warn!(
                "background jobs did not end within {seconds} s; their work is done after the next start"
            );
        }
        self.0.workers.close();
        self.0.database.clone().close().await;
    }
}

impl std::ops::Deref for App {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// Makes the claims of interrupted sweeps due, unless a command runs beside this process. Without a
/// command, no other process can be sweeping.
///
/// Only for a folder. A bucket may still apply a removal that was sent before.
async fn release_claims(config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    // The lock is held until the claims are released, so that no command starts to sweep before.
    let alone = open::lock_for_command(config);
    if alone.is_ok() {
        lifecycle.release().await.context("database.url")?;
    }
    Ok(())
}

/// Logs whether worker processes are sandboxed.
///
/// # Errors
/// The sandbox is incomplete, and `pictures.sandbox` requires it.
fn check_sandbox(sandbox: &Sandbox, config: &Config) -> anyhow::Result<()> {
    if sandbox.possible.is_empty() {
        let denied = sandbox.denied.join(", ");
        tracing::info!("worker processes are sandboxed; tried and denied: {denied}");
        return Ok(());
    }
    let possible = sandbox.possible.join(", ");
    anyhow::ensure!(
        config.pictures.sandbox == SandboxNeed::IfOffered,
        "pictures.sandbox: is \"required\", but this system allows worker processes: {possible}"
    );
    tracing::warn!("worker processes are not sandboxed; tried and possible: {possible}");
    Ok(())
}
