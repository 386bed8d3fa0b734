//! Bounds on what clients may ask for.

use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period},
    value::{self, Period},
};

/// Bounds on what clients may ask for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Off, none of the limits below holds; for tests and benchmarks.
    #[serde(deserialize_with = "value::scalar")]
    pub enabled: bool,
    /// How many connections are open at once; further ones wait to be accepted.
    #[serde(deserialize_with = "value::scalar")]
    pub connections: usize,
    /// How many log-ins to an account may fail before the next must wait.
    #[serde(deserialize_with = "value::scalar")]
    pub login_failures_per_account: u32,
    /// How many log-ins from an address may fail before the next must wait.
    #[serde(deserialize_with = "value::scalar")]
    pub login_failures_per_address: u32,
    /// How many accounts may be made, and taken names tried out, from an address before the next must wait.
    #[serde(deserialize_with = "value::scalar")]
    pub registrations_per_address: u32,
    /// The time in which each of the three recovers from nothing to the whole.
    #[serde(deserialize_with = "value::scalar")]
    pub recovery: Period,
    /// The first wait; each further one is twice as long.
    #[serde(deserialize_with = "value::scalar")]
    pub first_wait: Period,
    /// The longest wait.
    #[serde(deserialize_with = "value::scalar")]
    pub longest_wait: Period,
}

impl LimitSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        check(
            self.connections > 0,
            "limits.connections",
            "0 would let nobody in; allowed: 1 or more",
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
            login_failures_per_address: 100,
            registrations_per_address: 100,
            recovery: Period::seconds(6 * 60 * 60),
            first_wait: Period::seconds(30),
            longest_wait: Period::seconds(15 * 60),
        }
    }
}
