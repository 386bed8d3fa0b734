//! All settings in one structure.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    accounts::AccountSettings, check::check, database::DatabaseSettings, limits::LimitSettings,
    log::LogSettings, pictures::PictureSettings, server::ServerSettings, storage::StorageSettings,
    tokens::TokenSettings,
};
use crate::{database, storage};

/// All settings. Each section has its own defaults and checks.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the embedded database, the pictures and the signing key, unless other settings
    /// place them elsewhere.
    pub data_dir: PathBuf,
    /// Addresses, URLs and timeouts of the HTTP server.
    pub server: ServerSettings,
    /// Database for accounts, sessions and the list of stored pictures.
    pub database: DatabaseSettings,
    /// Object store for the pictures.
    pub storage: StorageSettings,
    /// Keys and lifetimes of access and refresh tokens.
    pub tokens: TokenSettings,
    /// Accounts and password hashes.
    pub accounts: AccountSettings,
    /// Accepted pictures, stored pictures and the workers that process them.
    pub pictures: PictureSettings,
    /// Limits on connections, log-ins and registrations.
    pub limits: LimitSettings,
    /// Filter and format of the log.
    pub log: LogSettings,
}

impl Config {
    /// Checks every value, before anything is opened or bound.
    ///
    /// # Errors
    /// The key of the first wrong setting, and a text that says what is allowed.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        self.server.validate()?;
        self.database.validate()?;
        self.storage.validate()?;
        self.tokens.validate()?;
        check(
            self.tokens.key.is_some() || !self.database_is_shared(),
            "tokens.key",
            "not set; required with a database server, because all nodes \
             must sign with the same key",
        )?;
        self.accounts.validate()?;
        self.pictures.validate()?;
        self.limits.validate()?;
        self.log.validate()
    }

    /// Location of the database. The default is `veraicon.db` in the data directory.
    #[must_use]
    pub fn database_location(&self) -> database::DatabaseLocation {
        self.database.location(&self.data_dir)
    }

    /// Returns true if other nodes may use the same database.
    #[must_use]
    pub fn database_is_shared(&self) -> bool {
        matches!(
            self.database_location(),
            database::DatabaseLocation::Server { .. }
        )
    }

    /// File of the signing keys. Used only if `tokens.key` is not set.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.data_dir.join("tokens.key")
    }

    /// Location of the object store. The default is `objects` in the data directory.
    ///
    /// # Errors
    /// A text that says why `storage.url` is invalid.
    pub fn storage_location(&self) -> Result<storage::StorageLocation, String> {
        self.storage.location(&self.data_dir)
    }

    /// URL by which clients know the service, without a slash at the end.
    ///
    /// `port` is the port that the service is bound to. It differs from the setting if that is 0.
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
            server: ServerSettings::default(),
            database: DatabaseSettings::default(),
            storage: StorageSettings::default(),
            tokens: TokenSettings::default(),
            accounts: AccountSettings::default(),
            pictures: PictureSettings::default(),
            limits: LimitSettings::default(),
            log: LogSettings::default(),
        }
    }
}
