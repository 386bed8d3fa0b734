//! What is logged, and how.

use serde::{Deserialize, Serialize};

use super::{LogFormat, value};

/// What is logged, and how. Logs go to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or directives of `tracing`.
    #[serde(deserialize_with = "value::scalar")]
    pub filter: String,
    /// Lines for people, or JSON for programs.
    #[serde(deserialize_with = "value::scalar")]
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info,sea_orm_migration=warn".into(),
            format: LogFormat::Text,
        }
    }
}
