//! Section `limits`.

use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period},
    value::{self, Period},
};

/// Limits on connections, log-ins and registrations.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// False turns off the limits of this section. For tests and benchmarks.
    #[serde(deserialize_with = "value::scalar")]
    pub enabled: bool,
    /// Maximum number of open connections. Further ones wait.
    #[serde(deserialize_with = "value::scalar")]
    pub connections: usize,
    /// Number of failed log-ins to an account before the next one must wait.
    ///
    /// Wrong old passwords at a password change have their own count with the same limit.
    #[serde(deserialize_with = "value::scalar")]
    pub login_failures_per_account: u32,
    /// Number of failed log-ins from an address (IPv6: a /64) before the next one must wait.
    #[serde(deserialize_with = "value::scalar")]
    pub login_failures_per_address: u32,
    /// Number of registrations from an address, attempts with taken names included, before the
    /// next one must wait.
    #[serde(deserialize_with = "value::scalar")]
    pub registrations_per_address: u32,
    /// Time in which each of the three allowances recovers completely.
    #[serde(deserialize_with = "value::scalar")]
    pub recovery: Period,
    /// First wait. Each further one is twice as long.
    #[serde(deserialize_with = "value::scalar")]
    pub first_wait: Period,
    /// Longest wait.
    #[serde(deserialize_with = "value::scalar")]
    pub longest_wait: Period,
}

impl LimitSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        check(
            self.connections > 0,
            "limits.connections",
            "0; allowed: 1 or more",
        )?;
        for (key, allowance) in [
            (
                "limits.login_failures_per_account",
                self.login_failures_per_account,
            ),
            (
                "limits.login_failures_per_address",
                self.login_failures_per_address,
            ),
            (
                "limits.registrations_per_address",
                self.registrations_per_address,
            ),
        ] {
            check(
                (1..=1_000_000).contains(&allowance),
                key,
                format!("{allowance}; allowed: 1 to 1000000"),
            )?;
        }
        check_period("limits.recovery", self.recovery)?;
        check_period("limits.first_wait", self.first_wait)?;
        check_period("limits.longest_wait", self.longest_wait)?;
        check(
            self.first_wait <= self.longest_wait,
            "limits.first_wait",
            format!(
                "{} is longer than limits.longest_wait, {}",
                self.first_wait, self.longest_wait
            ),
        )
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            connections: 4096,
            login_failures_per_account: 10,
            // Larger than for an account: many users may share an address (NAT).
            login_failures_per_address: 100,
            registrations_per_address: 100,
            recovery: Period::seconds(6 * 60 * 60),
            first_wait: Period::seconds(30),
            longest_wait: Period::seconds(15 * 60),
        }
    }
}
