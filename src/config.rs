//! Settings: what can be set, its default, and what is allowed.
//!
//! A file in TOML, over it the environment, over it flags; see [`load`].

mod accounts;
mod check;
mod database;
mod limits;
mod log;
mod pictures;
mod server;
mod source;
mod storage;
mod tokens;
mod value;

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use self::check::check;
use crate::{database::DatabaseLocation, storage::StorageLocation};

pub use self::{
    accounts::Accounts,
    database::Database,
    limits::Limits,
    log::Log,
    pictures::Pictures,
    server::Server,
    source::{Invalid, Overrides, environment, load},
    storage::Storage,
    tokens::{SHORTEST_KEY, Tokens},
    value::{LogFormat, Network, Period, PictureFormat, Registration, SandboxNeed},
};

/// A database in a file.
const SQLITE: &str = "sqlite://";

/// All settings. Each section carries its defaults and the check of its values.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the embedded database, the pictures and the signing key lie.
    pub data_dir: PathBuf,
    /// How the service is reached.
    pub server: Server,
    /// Where accounts and sessions are kept.
    pub database: Database,
    /// Where pictures are kept.
    pub storage: Storage,
    /// How tokens are made.
    pub tokens: Tokens,
    /// Accounts and their passwords.
    pub accounts: Accounts,
    /// What pictures are accepted, and what becomes of them.
    pub pictures: Pictures,
    /// Bounds on what clients may ask for.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
}

impl Config {
    /// Checks every value against what is allowed, before anything is opened or bound.
    ///
    /// # Errors
    /// The key of the first setting that is wrong, and what is allowed.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        self.server.validate()?;
        self.database.validate()?;
        self.storage.validate()?;
        self.tokens.validate()?;
        check(
            self.tokens.key.is_some() || !self.database_is_shared(),
            "tokens.key",
            "none; a database that several nodes can share needs a key that they share",
        )?;
        self.accounts.validate()?;
        self.pictures.validate()?;
        self.limits.validate()?;
        tracing_subscriber::EnvFilter::try_new(&self.log.filter)
            .map(|_| ())
            .map_err(|error| ("log.filter", format!("{:?}: {error}", self.log.filter)))
    }

    /// Where the database lies, the default filled in.
    #[must_use]
    pub fn database_location(&self) -> DatabaseLocation {
        let Some(url) = &self.database.url else {
            return DatabaseLocation::File(self.data_dir.join("veraicon.db"));
        };
        match path_of(url.expose_secret(), SQLITE) {
            Some(path) => DatabaseLocation::File(path.into()),
            None => DatabaseLocation::Server {
                url: url.clone(),
                connections: self.database.connections,
            },
        }
    }

    /// Whether other nodes may use the same database.
    #[must_use]
    pub fn database_is_shared(&self) -> bool {
        matches!(self.database_location(), DatabaseLocation::Server { .. })
    }

    /// The file that the signing key is kept in, where it is not set.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.data_dir.join("tokens.key")
    }

    /// Where objects lie, the default filled in.
    ///
    /// # Errors
    /// What is wrong with the setting.
    pub fn storage_location(&self) -> Result<StorageLocation, String> {
        match &self.storage.url {
            Some(url) => StorageLocation::parse(url),
            None => Ok(StorageLocation::Folder(self.data_dir.join("objects"))),
        }
    }

    /// The URL that clients know the service by, without a slash at its end.
    ///
    /// `port` is the one really bound, which the setting leaves open when it is 0.
    #[must_use]
    pub fn public_url(&self, port: u16) -> String {
        match &self.server.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://localhost:{port}{}", self.server.base_path),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "./data".into(),
            server: Server::default(),
            database: Database::default(),
            storage: Storage::default(),
            tokens: Tokens::default(),
            accounts: Accounts::default(),
            pictures: Pictures::default(),
            limits: Limits::default(),
            log: Log::default(),
        }
    }
}

/// The path in a URL such as `fs:///var/lib/veraicon` or `sqlite://./data/veraicon.db`.
fn path_of<'url>(url: &'url str, scheme: &str) -> Option<&'url Path> {
    let path = url.strip_prefix(scheme)?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    (!path.is_empty()).then(|| Path::new(path))
}
