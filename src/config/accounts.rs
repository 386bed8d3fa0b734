//! Section `accounts`.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{
    check::check,
    value::{self, Registration},
};

/// Accounts and password hashes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// IANA name of the time zone of times in responses, such as `Asia/Shanghai`.
    #[serde(deserialize_with = "value::scalar")]
    pub time_zone: String,
    /// Cost of a password hash (bcrypt): 2^`bcrypt_cost` rounds. Each step doubles the time.
    #[serde(deserialize_with = "value::scalar")]
    pub bcrypt_cost: u32,
    /// `open`: anyone can register. `closed`: nobody can.
    #[serde(deserialize_with = "value::scalar")]
    pub registration: Registration,
}

impl AccountSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        TimeZone::get(&self.time_zone).map_err(|_| {
            let text = format!(
                "{:?}; allowed: a name in the IANA time zone database, such as \"Asia/Shanghai\"",
                self.time_zone
            );
            ("accounts.time_zone", text)
        })?;
        // bcrypt allows 4 to 31. 20 already takes a minute.
        check(
            (4..=20).contains(&self.bcrypt_cost),
            "accounts.bcrypt_cost",
            format!(
                "{}; allowed: 4 to 20 (12 takes about a quarter of a second, each step doubles it)",
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
