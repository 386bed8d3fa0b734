//! Opens parts of the service as the settings say: lock, secrets, database, store, budget.

use std::{fs::File, io, thread};

use anyhow::Context;
use veraicon_picture::{OutputFormat, Policy};

use crate::{
    auth::key::{self, Secret},
    clock::Milliseconds,
    config::{Config, PictureFormat},
    database::{ClusterSetting, Database, unique_name},
    node::NodeLease,
    snowflake::Node,
    storage::{Storage, StorageLocation, create_durably},
    workers::Budget,
};

/// Locks the data directory against other services. Two services on one directory would make the
/// same identifiers.
///
/// # Errors
/// Another process holds the lock, or the directory cannot be written.
pub fn lock(config: &Config) -> anyhow::Result<File> {
    lock_file(config, "lock", "another veraicon")
}

/// Locks the data directory against other commands. A service that starts meanwhile leaves their
/// unfinished work alone.
///
/// # Errors
/// Another command holds the lock, or the directory cannot be written.
pub(super) fn lock_for_command(config: &Config) -> anyhow::Result<File> {
    lock_file(config, "commands.lock", "another command of veraicon")
}

/// Locks a file in the data directory, and creates both if they do not exist.
fn lock_file(config: &Config, name: &str, holder: &str) -> anyhow::Result<File> {
    let folder = &config.data_dir;
    create_durably(folder)
        .with_context(|| format!("data_dir: cannot create {}", folder.display()))?;
    let path = folder.join(name);
    let lock = File::create(&path)
        .with_context(|| format!("data_dir: cannot write {}", path.display()))?;
    // The kernel releases the lock when the process ends, also after a crash.
    lock.try_lock()
        .map_err(io::Error::from)
        .with_context(|| format!("data_dir: {} is in use by {holder}", folder.display()))?;
    Ok(lock)
}

/// Reads the secret that signs tokens, and the secrets whose tokens are still accepted. Makes the
/// first one at the first start.
///
/// # Errors
/// The secrets can be neither read nor made.
pub fn secrets(config: &Config, now: Milliseconds) -> anyhow::Result<(Secret, Vec<Secret>)> {
    let own = match &config.tokens.key {
        Some(key) => vec![key.clone()],
        None => {
            let path = config.key_path();
            key::load_or_create(&path, now)
                .with_context(|| format!("tokens.key: {}", path.display()))?
        }
    };
    let mut secrets = own
        .iter()
        .chain(&config.tokens.previous_keys)
        .map(Secret::new);
    let signing = secrets
        .next()
        .context("tokens.key: the file holds no key")?;
    Ok((signing, secrets.collect()))
}

/// Makes the policy for uploads from the settings. Its sizes are sorted, largest first.
#[must_use]
pub fn policy(config: &Config) -> Policy {
    let pictures = &config.pictures;
    let mut sizes = pictures.sizes.clone();
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    Policy {
        max_bytes: pictures.max_bytes.0,
        max_pixels: pictures.max_pixels,
        sizes,
        format: match pictures.format {
            PictureFormat::WebP => OutputFormat::WebP,
        },
        quality: pictures.quality,
        ..Policy::default()
    }
}

/// Makes the budget of the worker processes from the settings.
///
/// # Errors
/// `pictures.memory` is too small for the other settings.
pub fn budget(config: &Config, policy: &Policy) -> anyhow::Result<Budget> {
    let budget = Budget::new(&config.pictures, policy, cores());
    budget.map_err(|what| anyhow::anyhow!("pictures.memory: {what}"))
}

/// Returns the number of cores that this process may use.
pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Opens the database and brings its tables up to date.
///
/// # Errors
/// The database cannot be reached, or a migration fails.
pub async fn open_database(config: &Config) -> anyhow::Result<Database> {
    Database::open(&config.database_location())
        .await
        .context("database.url: the database cannot be opened")
}

/// The parts that a service and a command open first: the lock, the database and a node number.
pub(super) struct Foundation {
    pub(super) database: Database,
    /// This process's lease on its number, if other nodes may share the database.
    pub(super) lease: Option<NodeLease>,
    pub(super) node: Node,
    /// Held while the process runs.
    _lock: File,
}

impl Foundation {
    /// Opens the database and leases a node number. On a database that no other node shares,
    /// `alone` is the number.
    ///
    /// # Errors
    /// The database cannot be reached, or all numbers are leased.
    pub(super) async fn open(config: &Config, lock: File, alone: Node) -> anyhow::Result<Self> {
        let database = open_database(config).await?;
        let (lease, node) = if config.database_is_shared() {
            let joined = NodeLease::acquire(database.clone()).await;
            let (lease, node) = joined.context("database.url: no node number can be leased")?;
            (Some(lease), node)
        } else {
            (None, alone)
        };
        Ok(Self {
            database,
            lease,
            node,
            _lock: lock,
        })
    }

    /// Gives back the node number, which would stay leased for a minute otherwise, and closes the
    /// database.
    pub(super) async fn close(&self) {
        if let Some(lease) = &self.lease {
            lease.release().await;
        }
        self.database.clone().close().await;
    }
}

/// Opens the store, and checks that it holds the pictures of this database.
///
/// With another store, users would see no pictures, and the garbage collection would remove the
/// pictures of another database. Database and store hold the same name, which is compared. With
/// `may_begin`, a new store gets the name of a database that has no pictures.
///
/// # Errors
/// The store cannot be reached, or it belongs to another database.
pub(super) async fn open_storage(
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
    let expected = database.cluster_setting(ClusterSetting::Store).await;
    let expected = expected.context("database.url")?;
    let found = storage.name().await;
    let found = found.with_context(|| format!("storage.url: {location} cannot be read"))?;
    match (expected, found) {
        (Some(expected), Some(found)) if expected == found => {}
        (_, Some(_)) => anyhow::bail!(
            "storage.url: {location} holds the pictures of another database, or the pictures of \
             this one were moved away from it"
        ),
        // The store is new or has lost its name. It is used only if no picture can be missing.
        (Some(expected), None) => {
            let pictures = database.count_pictures().await.context("database.url")?;
            anyhow::ensure!(
                pictures == 0 && may_begin,
                "storage.url: {location} does not hold the pictures of this database; to move \
                 them there, run veraicon move-storage"
            );
            name(&storage, &expected).await?;
        }
        (None, None) => {
            anyhow::ensure!(
                may_begin,
                "database.url: no service has used this database yet"
            );
            // Several nodes may start at once: the first name in the database is used by all.
            let expected = database
                .get_or_insert_cluster_setting(ClusterSetting::Store, &unique_name()?)
                .await;
            name(&storage, &expected.context("database.url")?).await?;
        }
    }
    Ok((location, storage))
}

/// Writes the name of the database's store to the store.
async fn name(storage: &Storage, name: &str) -> anyhow::Result<()> {
    let named = storage.set_name(name).await;
    named.context("storage.url: the store cannot be written")
}
