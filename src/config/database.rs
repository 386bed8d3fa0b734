//! Where accounts and sessions are kept.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{SQLITE, check::check, path_of, value};

/// Databases that several nodes can share.
const SERVERS: [&str; 3] = ["postgres://", "postgresql://", "mysql://"];

/// Where accounts and sessions are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite://PATH`, `postgres://…` or `mysql://…`; absent, a file in the data directory.
    #[serde(deserialize_with = "value::secret", serialize_with = "value::redacted")]
    pub url: Option<SecretString>,
    /// The most connections to a database server that this node opens.
    #[serde(deserialize_with = "value::scalar")]
    pub connections: u32,
}

impl Database {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        if let Some(url) = &self.url {
            let url = url.expose_secret();
            let server = SERVERS.iter().any(|scheme| path_of(url, scheme).is_some());
            // The text may hold a password, so it is not repeated.
            check(
                path_of(url, SQLITE).is_some() || (server && url::Url::parse(url).is_ok()),
                "database.url",
                format!(
                    "allowed: {SQLITE}PATH, postgres://USER:PASSWORD@HOST/DATABASE, mysql://USER:PASSWORD@HOST/DATABASE"
                ),
            )?;
        }
        check(
            (1..=1000).contains(&self.connections),
            "database.connections",
            format!("{}; allowed: 1 to 1000", self.connections),
        )
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            connections: 16,
        }
    }
}
