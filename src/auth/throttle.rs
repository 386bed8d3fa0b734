//! Limits on attempts: log-ins, password changes and registrations.
//!
//! Each subject, such as an account or an address, has an allowance of attempts. The allowance
//! recovers steadily over `limits.recovery`. The attempt that uses it up starts a wait. Each
//! further attempt starts a wait that is twice as long, up to `limits.longest_wait`.
//!
//! # Algorithm
//! The generic cell rate algorithm (GCRA, ITU-T I.371, annex A) stores one time for each subject
//! instead of a list of attempts: the theoretical arrival time (TAT). At that time the whole
//! allowance is available again.
//!
//! - `share = recovery / allowance` is the time in which one attempt recovers.
//! - An attempt sets `TAT = max(TAT, now) + share`.
//! - `(TAT - now) / share`, rounded up, attempts are used at the moment.
//! - A TAT in the past means that no attempt is used. The row can be deleted.
//!
//! GCRA rejects every cell that exceeds the allowance. This module accepts the attempt after the
//! wait, so that the owner of an account is never locked out. The end of the wait is the second
//! time in the row, `next_at`.
//!
//! # Order
//! An attempt is reserved before the password is checked. Otherwise parallel attempts could exceed
//! the allowance, and a client could avoid the count by closing its connection early.

use std::{net::IpAddr, time::Duration};

use super::key::Secret;
use crate::{
    clock::{Clock, Milliseconds},
    config::LimitSettings,
    database::{AttemptResolution, AttemptRow, AttemptUpdate, Database},
    failure::Failure,
};

/// Bytes of a subject's hash that are stored. 128 bits make collisions impossible in practice.
const SUBJECT_BYTES: usize = 16;
/// Bits of an IPv6 address that identify a client: a site gets at least a /64 (RFC 6177).
const CLIENT_PREFIX_BITS: u32 = 64;

/// Counts attempts in the database, so that all nodes share the counts.
#[derive(Clone)]
pub(crate) struct Throttle {
    database: Database,
    clock: Clock,
    /// Key of the hashes that replace names and addresses. The names must not be readable in the
    /// database, because people type passwords into the name field by mistake.
    secret: Secret,
    limits: LimitSettings,
}

/// Owner of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// Log-ins from an address.
    LoginFrom(IpAddr),
    /// Log-ins to an account. Unknown names count too, so that they cannot be told from known ones.
    LoginTo(&'a str),
    /// Password changes of an account. Separate from log-ins, so that a stranger who guesses at
    /// log-ins cannot stop the owner from changing the password.
    PasswordOf(i64),
    /// Registrations from an address.
    RegistrationFrom(IpAddr),
}

/// Reserved attempts that wait for their outcome. If dropped, they count as failed.
#[must_use]
pub(crate) struct Reservation {
    throttle: Throttle,
    /// Changes of the rows, and for each whether a success resets the allowance.
    updates: Vec<(AttemptUpdate, bool)>,
}

impl Throttle {
    pub(crate) fn new(
        database: Database,
        clock: Clock,
        secret: Secret,
        limits: LimitSettings,
    ) -> Self {
        Self {
            database,
            clock,
            secret,
            limits,
        }
    }

    /// Reserves one attempt for every subject, or none if a subject has to wait.
    ///
    /// # Errors
    /// [`Failure::RateLimited`] with the longest wait of the subjects.
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub(crate) async fn reserve(&self, subjects: &[Subject<'_>]) -> Result<Reservation, Failure> {
        let mut updates = Vec::new();
        if self.limits.enabled {
            let keys: Vec<_> = subjects
                .iter()
                .map(|subject| self.key_of(*subject))
                .collect();
            // Compare-and-swap: if another attempt has changed a row since it was read, nothing is
            // written, and the decision is made again from the new rows.
            loop {
                let rows = self.database.attempts(&keys).await?;
                updates = self.decide(subjects, &keys, &rows)?;
                if self.database.reserve_attempts(&updates).await? {
                    break;
                }
            }
        }
        let updates = updates
            .into_iter()
            .zip(subjects)
            .map(|(update, subject)| (update, subject.resets()))
            .collect();
        Ok(Reservation {
            throttle: self.clone(),
            updates,
        })
    }

    fn decide(
        &self,
        subjects: &[Subject<'_>],
        keys: &[String],
        rows: &[AttemptRow],
    ) -> Result<Vec<AttemptUpdate>, Failure> {
        let now = self.clock.now();
        let rows = keys
            .iter()
            .map(|key| rows.iter().find(|row| row.subject == *key));
        let wait = rows
            .clone()
            .flatten()
            .map(|row| row.next_at.saturating_sub(now))
            .max();
        if let Some(wait) = wait.filter(|wait| *wait > 0) {
            // Rounded up: a client that retries after whole seconds must not come too early.
            let seconds = wait.unsigned_abs().div_ceil(1000);
            return Err(Failure::RateLimited {
                retry_after: Duration::from_secs(seconds),
            });
        }
        let updates = subjects.iter().zip(keys).zip(rows);
        Ok(updates
            .map(|((subject, key), row)| {
                self.update(subject.allowance(&self.limits), key, row, now)
            })
            .collect())
    }

    /// Computes the row after an attempt at `now`, by the algorithm of this module.
    fn update(
        &self,
        allowance: u32,
        key: &str,
        row: Option<&AttemptRow>,
        now: Milliseconds,
    ) -> AttemptUpdate {
        let first_wait = self.limits.first_wait.milliseconds();
        let longest_wait = self.limits.longest_wait.milliseconds();
        let allowance = i64::from(allowance);
        // At least 1 ms: a short recovery divided by a large allowance would give 0.
        let share = (self.limits.recovery.milliseconds() / allowance).max(1);
        let from = row.map_or(now, |row| row.tat.max(now));
        // Number of attempts until the doubled waits reach the longest. Attempts beyond that change
        // nothing, so the TAT stops there. Otherwise an attack could move it on without limit, and
        // the owner would meet long waits for days after its end.
        let doublings = i64::from((longest_wait / first_wait).max(1).ilog2()) + 1;
        let max_tat = now.saturating_add((allowance + doublings).saturating_mul(share));
        // `max(from)`: a lower limit set at a restart must not move a stored TAT back.
        let tat = from.saturating_add(share).min(max_tat.max(from));
        let used = (tat - now + share - 1) / share;
        let next_at = match u32::try_from(used - allowance) {
            // The allowance is not used up. The old value stays instead of `now`, because a node
            // with a slower clock would read `now` as a wait.
            Err(_) => row.map_or(0, |row| row.next_at),
            // 2^40 ms is 35 years, longer than any wait. The cap keeps the shift within 64 bits.
            Ok(excess) => {
                let wait = first_wait.saturating_mul(1_i64 << excess.min(40));
                now.saturating_add(wait.min(longest_wait))
            }
        };
        AttemptUpdate {
            before: row.cloned(),
            after: AttemptRow {
                subject: key.to_owned(),
                tat,
                next_at,
            },
            cost: tat - from,
        }
    }

    fn key_of(&self, subject: Subject<'_>) -> String {
        let address;
        let number;
        let (kind, value): (&[u8], &[u8]) = match subject {
            Subject::LoginFrom(from) => {
                address = client_prefix(from);
                (b"log-in from ", &address)
            }
            Subject::LoginTo(name) => (b"log-in to ", name.as_bytes()),
            Subject::PasswordOf(user) => {
                number = user.to_be_bytes();
                (b"password of ", &number)
            }
            Subject::RegistrationFrom(from) => {
                address = client_prefix(from);
                (b"registration from ", &address)
            }
        };
        let hash = self
            .secret
            .derive_key(&[b"veraicon throttle: ", kind, value]);
        hex::encode(&hash[..SUBJECT_BYTES])
    }
}

impl Reservation {
    /// Records success. Allowances of accounts become whole again, those of addresses get this
    /// attempt back.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the database cannot be reached. The attempts then count.
    pub(crate) async fn succeeded(self) -> Result<(), Failure> {
        self.commit(true).await
    }

    /// Gives the attempts back: they do not count.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the database cannot be reached. The attempts then count.
    pub(crate) async fn refund(self) -> Result<(), Failure> {
        self.commit(false).await
    }

    async fn commit(self, succeeded: bool) -> Result<(), Failure> {
        // Empty if the limits are turned off.
        if self.updates.is_empty() {
            return Ok(());
        }
        let resolutions = self.updates.into_iter().map(|(update, resets)| {
            if succeeded && resets {
                AttemptResolution::Reset(update.after.subject)
            } else {
                AttemptResolution::Refund(update)
            }
        });
        let resolutions: Vec<_> = resolutions.collect();
        self.throttle.database.resolve_attempts(&resolutions).await
    }
}

impl Subject<'_> {
    fn allowance(self, limits: &LimitSettings) -> u32 {
        match self {
            Self::LoginFrom(_) => limits.login_failures_per_address,
            Self::LoginTo(_) | Self::PasswordOf(_) => limits.login_failures_per_account,
            Self::RegistrationFrom(_) => limits.registrations_per_address,
        }
    }

    /// Returns true if one success cancels all failures before it.
    ///
    /// Not for addresses: an attacker with an account of their own could reset the count with it
    /// while guessing at other accounts.
    fn resets(self) -> bool {
        matches!(self, Self::LoginTo(_) | Self::PasswordOf(_))
    }
}

/// Returns the part of an address that identifies a client.
fn client_prefix(address: IpAddr) -> [u8; 16] {
    // Canonical: an IPv4 client gets the same prefix if it is connected through an IPv6 socket.
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => {
            let host_bits = 128 - CLIENT_PREFIX_BITS;
            let prefix = address.to_bits() >> host_bits << host_bits;
            prefix.to_be_bytes()
        }
    }
}
