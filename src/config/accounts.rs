//! AccountSettings and their passwords.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{
    check::check,
    value::{self, Registration},
};

/// AccountSettings and their passwords.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// The IANA time zone that times are given in.
    #[serde(deserialize_with = "value::scalar")]
    pub time_zone: String,
    /// The cost of a password's hash: two to this power rounds.
    #[serde(deserialize_with = "value::scalar")]
    pub bcrypt_cost: u32,
    /// Whether anyone may make an account.
    #[serde(deserialize_with = "value::scalar")]
    pub registration: Registration,
}

impl AccountSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        TimeZone::get(&self.time_zone).map_err(|_| {
            let text = format!(
                "{:?}; allowed: a name of the IANA time zone database, such as \"Asia/Shanghai\"",
                self.time_zone
            );
            ("accounts.time_zone", text)
        })?;
        check(
            (4..=20).contains(&self.bcrypt_cost),
            "accounts.bcrypt_cost",
            format!(
                "{}; allowed: 4 to 20 (12 takes a quarter of a second, each step more doubles it)",
                self.bcrypt_cost
            ),
        )
    }
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self {
            time_zone: "Asia/Shanghai".into(),
            bcrypt_cost: 12,
            registration: Registration::Open,
        }
    }
}
