//! What is logged, and how.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::value::{self, LogFormat};

/// What is logged, and how. Logs go to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`, or directives of `tracing`.
    #[serde(deserialize_with = "value::scalar")]
    pub filter: String,
    /// Lines for people, or JSON for programs.
    #[serde(deserialize_with = "value::scalar")]
    pub format: LogFormat,
}

impl LogSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        EnvFilter::try_new(&self.filter)
            .map(|_| ())
            .map_err(|error| ("log.filter", format!("{:?}: {error}", self.filter)))
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            filter: "info,sea_orm_migration=warn".into(),
            format: LogFormat::Text,
        }
    }
}
