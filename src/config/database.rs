//! Section `database`.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{check::check, value};
use crate::database::DatabaseLocation;

/// Scheme of an embedded database.
const SQLITE: &str = "sqlite://";

/// Schemes of database servers, which several nodes can share.
const SERVERS: [&str; 3] = ["postgres://", "postgresql://", "mysql://"];

/// Database for accounts, sessions and the list of stored pictures.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// URL of the database: `sqlite://PATH`, `postgres://…` or `mysql://…`.
    ///
    /// If absent, SQLite stores it in the data directory. A server can be shared by several nodes.
    #[serde(deserialize_with = "value::secret", serialize_with = "value::redacted")]
    pub url: Option<SecretString>,
    /// Maximum number of connections to a database server, for this node. SQLite ignores it.
    #[serde(deserialize_with = "value::scalar")]
    pub connections: u32,
}

impl DatabaseSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        if let Some(url) = &self.url {
            let url = url.expose_secret();
            let server = SERVERS.iter().any(|scheme| path_of(url, scheme).is_some());
            // The error does not repeat the URL, because it may contain a password.
            check(
                path_of(url, SQLITE).is_some() || (server && url::Url::parse(url).is_ok()),
                "database.url",
                format!(
                    "allowed: {SQLITE}PATH, postgres://USER:PASSWORD@HOST/DATABASE, \
                     mysql://USER:PASSWORD@HOST/DATABASE"
                ),
            )?;
        }
        check(
            (1..=1000).contains(&self.connections),
            "database.connections",
            format!("{}; allowed: 1 to 1000", self.connections),
        )
    }

    /// Location of the database. The default is a file in `data_dir`.
    pub(super) fn location(&self, data_dir: &Path) -> DatabaseLocation {
        let Some(url) = &self.url else {
            return DatabaseLocation::File(data_dir.join("veraicon.db"));
        };
        match path_of(url.expose_secret(), SQLITE) {
            Some(path) => DatabaseLocation::File(path.into()),
            None => DatabaseLocation::Server {
                url: url.clone(),
                connections: self.connections,
            },
        }
    }
}

/// Returns the path in a URL such as `sqlite:///var/lib/veraicon.db`, or nothing if the scheme is
/// another or the path empty.
fn path_of<'url>(url: &'url str, scheme: &str) -> Option<&'url Path> {
    let path = url.strip_prefix(scheme)?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    (!path.is_empty()).then(|| Path::new(path))
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: None,
            connections: 16,
        }
    }
}
