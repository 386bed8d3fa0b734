//! Section `tokens`.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period},
    value::{self, Period},
};

/// Minimum length of a secret in bytes: that of the output of SHA-256 (RFC 7518, section 3.2).
pub const MIN_KEY_BYTES: usize = 32;

/// Keys and lifetimes of access and refresh tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// Secret from which the signing keys are derived, of [`MIN_KEY_BYTES`] bytes or more.
    ///
    /// If absent, the first start generates one in the data directory.
    #[serde(deserialize_with = "value::secret", serialize_with = "value::redacted")]
    pub key: Option<SecretString>,
    /// Former secrets whose tokens are still valid. They do not sign.
    #[serde(
        deserialize_with = "value::secrets",
        serialize_with = "value::all_redacted"
    )]
    pub previous_keys: Vec<SecretString>,
    /// Lifetime of an access token. At most `refresh_ttl`.
    #[serde(deserialize_with = "value::scalar")]
    pub access_ttl: Period,
    /// Lifetime of a refresh token.
    #[serde(deserialize_with = "value::scalar")]
    pub refresh_ttl: Period,
}

impl TokenSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        let key = self.key.iter().map(|key| ("tokens.key", key));
        let previous = self.previous_keys.iter();
        for (setting, key) in key.chain(previous.map(|key| ("tokens.previous_keys", key))) {
            let length = key.expose_secret().len();
            check(
                length >= MIN_KEY_BYTES,
                setting,
                format!("{length} bytes; allowed: {MIN_KEY_BYTES} bytes or more"),
            )?;
        }
        check_period("tokens.access_ttl", self.access_ttl)?;
        check_period("tokens.refresh_ttl", self.refresh_ttl)?;
        check(
            self.access_ttl <= self.refresh_ttl,
            "tokens.access_ttl",
            format!(
                "{} is longer than tokens.refresh_ttl, {}",
                self.access_ttl, self.refresh_ttl
            ),
        )
    }
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            key: None,
            previous_keys: Vec::new(),
            access_ttl: Period::seconds(15 * 60),
            refresh_ttl: Period::seconds(30 * 24 * 60 * 60),
        }
    }
}
