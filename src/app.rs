//! All parts of the service, put together by hand.

mod command_context;

pub use self::command_context::CommandContext;

use std::{fs::File, io, sync::Arc, thread, time::Duration};

use anyhow::Context;
use jiff::tz::TimeZone;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use veraicon_picture::{OutputFormat, Policy};

use crate::{
    accounts::Accounts,
    auth::{
        key::{self, Secret},
        password::Passwords,
        session::Sessions,
        throttle::Throttle,
        token::Tokens,
    },
    avatars::Avatars,
    clock::{Clock, Milliseconds},
    config::{Config, PictureFormat, SandboxNeed},
    database::{ClusterSetting, Database, unique_name},
    identicon::DefaultPictures,
    metrics::Metrics,
    node::Membership,
    snowflake::{Node, Snowflakes},
    storage::{Storage, StorageLocation, create_durably},
    workers::{Budget, Program, Sandbox, Workers},
};

/// How long background work may take to come to an end.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The service's parts. Cheap to clone: the parts are shared.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What [`App`] leads to.
#[expect(missing_docs, reason = "the fields are named after their types")]
pub struct Parts {
    pub config: Config,
    pub policy: Arc<Policy>,
    pub accounts: Accounts,
    pub passwords: Passwords,
    pub sessions: Sessions,
    pub avatars: Avatars,
    pub default_pictures: DefaultPictures,
    pub storage: Storage,
    pub database: Database,
    pub time_zone: TimeZone,
    pub metrics: Metrics,
    pub sandbox: Sandbox,
    ids: Arc<Snowflakes>,
    /// Where other nodes may share the database.
    membership: Option<Membership>,
    public_url: String,
    background: TaskTracker,
    stop: CancellationToken,
    /// Held as long as the service runs: two services on one folder would hand out the same identifiers.
    _lock: File,
}

impl App {
    /// Opens everything that the settings name. `port` is the one that the service is bound to, `program` what worker
    /// processes run.
    ///
    /// # Errors
    /// What cannot be opened, and why.
    pub async fn open(
        config: Config,
        clock: Clock,
        port: u16,
        program: Program,
    ) -> anyhow::Result<Self> {
        let lock = lock(&config)?;
        let public_url = config.public_url(port);
        let (signing, previous) = secrets(&config, clock.now())?;
        let tokens = Tokens::new(
            &signing,
            &previous,
            config.tokens.access_ttl,
            config.tokens.refresh_ttl,
        );
        let database = open_database(&config).await?;
        let (membership, node) = if config.database_is_shared() {
            let (membership, node) = join(&database).await?;
            (Some(membership), node)
        } else {
            // Without a command at work this is the only process: whatever was being swept, nobody sweeps any more,
            // unless a bucket does it late.
            let alone = command_context::lock(&config);
            if alone.is_ok() && matches!(config.storage_location(), Ok(StorageLocation::Folder(_)))
            {
                let released = database.release_pictures(clock.now()).await;
                released.context("database.url")?;
            }
            (None, Node::ALONE)
        };
        let url_base = config
            .storage
            .public_url
            .as_deref()
            .unwrap_or(&public_url)
            .trim_end_matches('/')
            .to_owned();
        let (_, storage) = open_storage(&config, &database, url_base, true).await?;
        let ids = Arc::new(Snowflakes::new(clock.clone(), node));
        let policy = Arc::new(policy(&config));
        let storage = storage.with_cache(config.storage.cache.0, &policy.sizes, policy.format);
        let metrics = Metrics::default();
        let budget = budget(&config, &policy)?;
        let workers = Workers::new(budget, Arc::clone(&policy), program, metrics.clone());
        let sandbox = workers.open().await;
        let sandbox = sandbox.context("a worker process cannot be started")?;
        check(&sandbox, &config)?;
        let avatars = avatars(
            &config,
            database.clone(),
            storage.clone(),
            workers,
            clock.clone(),
            Arc::clone(&ids),
            &public_url,
        );
        let default_pictures = avatars.default_pictures.clone();
        let passwords = Passwords::new(config.accounts.bcrypt_cost, cores())
            .context("the threads that hash passwords cannot be started")?;
        let throttle = Throttle::new(
            database.clone(),
            clock.clone(),
            signing,
            config.limits.clone(),
        );
        Ok(Self(Arc::new(Parts {
            accounts: Accounts::new(
                database.clone(),
                passwords.clone(),
                throttle,
                clock.clone(),
                Arc::clone(&ids),
                config.accounts.registration,
            ),
            passwords,
            sessions: Sessions::new(database.clone(), tokens, clock, Arc::clone(&ids)),
            ids,
            membership,
            time_zone: TimeZone::get(&config.accounts.time_zone).context("accounts.time_zone")?,
            metrics,
            sandbox,
            policy,
            avatars,
            default_pictures,
            storage,
            database,
            public_url,
            background: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
            _lock: lock,
        })))
    }

    /// The URL that clients know the service by.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.0.public_url
    }

    /// Starts what runs beside requests.
    pub fn start_background_work(&self) {
        let Parts {
            background,
            avatars,
            ids,
            membership,
            stop,
            ..
        } = &*self.0;
        let sweep = avatars
            .clone()
            .sweep_forever(membership.clone(), stop.clone());
        background.spawn(sweep);
        if let Some(membership) = membership.clone() {
            background.spawn(membership.stay(Arc::clone(ids), stop.clone()));
        }
    }

    /// Ends the background work and closes the database.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.background.close();
        let ended = tokio::time::timeout(LAST_WAIT, self.0.background.wait()).await;
        if ended.is_err() {
            tracing::warn!("the sweep did not end in time; the next start goes on with it");
        }
        self.0.avatars.workers.close();
        self.0.database.clone().close().await;
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The secret that signs, made where there is none, and those whose tokens are still good.
///
/// # Errors
/// Secrets can be neither read nor made.
pub fn secrets(config: &Config, now: Milliseconds) -> anyhow::Result<(Secret, Vec<Secret>)> {
    let kept = match &config.tokens.key {
        Some(key) => vec![key.clone()],
        None => {
            let path = config.key_path();
            key::load_or_create(&path, now)
                .with_context(|| format!("tokens.key: {}", path.display()))?
        }
    };
    let mut secrets = kept
        .iter()
        .chain(&config.tokens.previous_keys)
        .map(Secret::new);
    let signing = secrets.next().context("tokens.key: there is none")?;
    Ok((signing, secrets.collect()))
}

/// Says how far workers are closed in, and goes no further where that is not far enough.
fn check(sandbox: &Sandbox, config: &Config) -> anyhow::Result<()> {
    if sandbox.possible.is_empty() {
        let denied = sandbox.denied.join(", ");
        tracing::info!("worker processes are closed in; tried and denied: {denied}");
        return Ok(());
    }
    let possible = sandbox.possible.join(", ");
    anyhow::ensure!(
        config.pictures.sandbox == SandboxNeed::IfOffered,
        "pictures.sandbox: required, and this system leaves possible to worker processes: {possible}"
    );
    tracing::warn!("worker processes are not closed in; tried and possible: {possible}");
    Ok(())
}

/// What pictures are taken, and what comes out.
#[must_use]
pub fn policy(config: &Config) -> Policy {
    let pictures = &config.pictures;
    Policy {
        max_bytes: pictures.max_bytes.0,
        max_pixels: pictures.max_pixels,
        sizes: pictures.sizes.clone(),
        format: match pictures.format {
            PictureFormat::WebP => OutputFormat::WebP,
        },
        quality: pictures.quality,
        ..Policy::default()
    }
}

/// How much may be done with pictures at once.
///
/// # Errors
/// The settings contradict each other.
pub fn budget(config: &Config, policy: &Policy) -> anyhow::Result<Budget> {
    let budget = Budget::new(&config.pictures, policy, cores());
    budget.map_err(|what| anyhow::anyhow!("pictures.memory: {what}"))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Opens the database, its tables brought up to date.
///
/// # Errors
/// It cannot be reached, or its tables cannot be brought up to date.
pub async fn open_database(config: &Config) -> anyhow::Result<Database> {
    Database::open(&config.database_location())
        .await
        .context("database.url: the database cannot be opened")
}

/// Takes a number that no other node on this database has.
async fn join(database: &Database) -> anyhow::Result<(Membership, Node)> {
    let joined = Membership::join(database.clone()).await;
    joined.context("database.url")
}

/// Opens the store, and makes sure that it is the one where this database's pictures lie: to take another for it would mean
/// to lose all pictures, or to remove somebody else's.
async fn open_storage(
    config: &Config,
    database: &Database,
    url_base: String,
    may_begin: bool,
) -> anyhow::Result<(StorageLocation, Storage)> {
    let location = config.storage_location();
    let location = location.map_err(|what| anyhow::anyhow!("storage.url: {what}"))?;
    let storage = Storage::open(&location, &config.storage.options(), url_base)
        .await
        .context("storage.url: the store cannot be opened")?;
    let agreed = database.cluster_setting(ClusterSetting::Store).await;
    let agreed = agreed.context("database.url")?;
    let found = storage.name().await;
    let found = found.with_context(|| format!("storage.url: {location} cannot be read"))?;
    match (agreed, found) {
        (Some(agreed), Some(found)) if agreed == found => {}
        (_, Some(_)) => anyhow::bail!(
            "storage.url: {location} holds the pictures of another database, or those of this one have been moved from it"
        ),
        (Some(agreed), None) => {
            let pictures = database.count_pictures().await.context("database.url")?;
            anyhow::ensure!(
                pictures == 0 && may_begin,
                "storage.url: {location} does not hold the pictures of this database; veraicon move-storage moves them"
            );
            storage.set_name(&agreed).await.context("storage.url")?;
        }
        (None, None) => {
            anyhow::ensure!(
                may_begin,
                "database.url: no service has begun with this database"
            );
            let agreed = database
                .get_or_insert_cluster_setting(ClusterSetting::Store, &unique_name()?)
                .await;
            let agreed = agreed.context("database.url")?;
            storage.set_name(&agreed).await.context("storage.url")?;
        }
    }
    Ok((location, storage))
}

fn avatars(
    config: &Config,
    database: Database,
    storage: Storage,
    workers: Workers,
    clock: Clock,
    ids: Arc<Snowflakes>,
    public_url: &str,
) -> Avatars {
    let Policy {
        format, quality, ..
    } = policy(config);
    Avatars {
        database,
        storage,
        workers,
        clock,
        ids,
        grace: config.storage.grace.milliseconds(),
        format,
        default_pictures: DefaultPictures::new(public_url, &config.pictures.sizes, format, quality),
    }
}

/// Keeps other processes of the service away from the data directory.
///
/// # Errors
/// One is there already, or the directory cannot be written.
pub fn lock(config: &Config) -> anyhow::Result<File> {
    lock_file(config, "lock", "another veraicon")
}

fn lock_file(config: &Config, name: &str, taken: &str) -> anyhow::Result<File> {
    let folder = &config.data_dir;
    create_durably(folder)
        .with_context(|| format!("data_dir: cannot make {}", folder.display()))?;
    let path = folder.join(name);
    let lock = File::create(&path)
        .with_context(|| format!("data_dir: cannot write {}", path.display()))?;
    lock.try_lock()
        .map_err(io::Error::from)
        .with_context(|| format!("data_dir: {} is in use by {taken}", folder.display()))?;
    Ok(lock)
}
