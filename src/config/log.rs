//! Section `log`.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::value::{self, LogFormat};

/// Filter and format of the log, which goes to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `error`, `warn`, `info`, `debug` or `trace`, or directives such as `info,sqlx=warn`.
    #[serde(deserialize_with = "value::scalar")]
    pub filter: String,
    /// `text`: lines for people. `json`: one JSON object per line.
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
            // sea_orm_migration writes a line at level info at every start.
            filter: "info,sea_orm_migration=warn".into(),
            format: LogFormat::Text,
        }
    }
}
