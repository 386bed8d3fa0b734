//! Slows down whoever guesses: each subject has an allowance of attempts, and once it is used up, waits that grow.
//!
//! An attempt is booked before it is judged, so that attempts in parallel cannot exceed the allowance, and a client
//! that goes away is none the better for it. A booking is a move of one time: the row says when the allowance is whole
//! again, and each attempt moves that on by one share of the time in which it recovers (the generic cell rate algorithm,
//! ITU-T I.371, annex A). So attempts are forgiven one by one, and a row of the past says nothing and can go.

use std::{net::IpAddr, time::Duration};

use super::key::Secret;
use crate::{
    clock::{Clock, Milliseconds},
    config::Limits,
    database::{AttemptResolution, AttemptRow, AttemptUpdate, Database},
    failure::Failure,
};

/// Bytes of a subject's hash that are kept.
const SUBJECT_BYTES: usize = 16;
/// The bits of an IPv6 address that are its owner's: a site gets a /64 at least (RFC 6177).
const SITE_PREFIX: u32 = 64;

/// Keeps count of attempts, in the database.
#[derive(Clone)]
pub struct Throttle {
    database: Database,
    clock: Clock,
    /// Names and addresses are kept as hashes under this secret, since people type passwords where names belong.
    secret: Secret,
    limits: Limits,
}

/// Whose allowance an attempt uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Log-ins from an address.
    LoginFrom(IpAddr),
    /// Log-ins to an account, whether there is one of this name or not.
    LoginTo(&'a str),
    /// New passwords for an account, from within its sessions: whoever guesses at log-ins cannot use this one up.
    PasswordOf(i64),
    /// Registrations from an address.
    RegistrationFrom(IpAddr),
}

/// AttemptRow that were booked and await their outcome. Dropped, they count as failed.
#[must_use]
pub struct Booked {
    throttle: Throttle,
    bookings: Vec<(AttemptUpdate, bool)>,
}

impl Throttle {
    /// Counts in `database`, which all nodes share; nothing is counted where the limits are off.
    #[must_use]
    pub fn new(database: Database, clock: Clock, secret: Secret, limits: Limits) -> Self {
        Self {
            database,
            clock,
            secret,
            limits,
        }
    }

    /// Books an attempt for each subject, or for none where one of them must wait.
    ///
    /// # Errors
    /// [`Failure::RateLimited`] with the longest of the waits.
    pub async fn book(&self, subjects: &[Subject<'_>]) -> Result<Booked, Failure> {
        let mut bookings = Vec::new();
        if self.limits.enabled {
            let keys: Vec<_> = subjects
                .iter()
                .map(|subject| self.key_of(*subject))
                .collect();
            loop {
                let rows = self.database.attempts(&keys).await?;
                bookings = self.decide(subjects, &keys, &rows)?;
                if self.database.reserve_attempts(&bookings).await? {
                    break;
                }
            }
        }
        let bookings = bookings
            .into_iter()
            .zip(subjects)
            .map(|(booking, subject)| (booking, subject.forgets()))
            .collect();
        Ok(Booked {
            throttle: self.clone(),
            bookings,
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
            let seconds = wait.unsigned_abs().div_ceil(1000);
            return Err(Failure::RateLimited {
                retry_after: Duration::from_secs(seconds),
            });
        }
        let bookings = subjects.iter().zip(keys).zip(rows);
        Ok(bookings
            .map(|((subject, key), row)| self.next(subject.allowance(&self.limits), key, row, now))
            .collect())
    }

    /// The row as an attempt `now` leaves it, of an allowance of so many.
    fn next(
        &self,
        allowance: u32,
        key: &str,
        row: Option<&AttemptRow>,
        now: Milliseconds,
    ) -> AttemptUpdate {
        let first = self.limits.first_wait.milliseconds();
        let longest = self.limits.longest_wait.milliseconds();
        let allowance = i64::from(allowance);
        let share = (self.limits.recovery.milliseconds() / allowance).max(1);
        let from = row.map_or(now, |row| row.tat.max(now));
        // Beyond the longest wait there is nothing more to count.
        let doublings = i64::from((longest / first).max(1).ilog2()) + 1;
        let most = now.saturating_add((allowance + doublings).saturating_mul(share));
        let tat = from.saturating_add(share).min(most.max(from));
        let used = (tat - now + share - 1) / share;
        let next_at = match u32::try_from(used - allowance) {
            // Not now: a node whose clock is behind would take that for a wait.
            Err(_) => row.map_or(0, |row| row.next_at),
            Ok(over) => {
                now.saturating_add(longest.min(first.saturating_mul(1_i64 << over.min(40))))
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
                address = site(from);
                (b"log-in from ", &address)
            }
            Subject::LoginTo(name) => (b"log-in to ", name.as_bytes()),
            Subject::PasswordOf(user) => {
                number = user.to_be_bytes();
                (b"password of ", &number)
            }
            Subject::RegistrationFrom(from) => {
                address = site(from);
                (b"registration from ", &address)
            }
        };
        let hash = self.secret.key(&[b"veraicon throttle: ", kind, value]);
        hex::encode(&hash[..SUBJECT_BYTES])
    }
}

impl Booked {
    /// The attempts succeeded: those on an account are forgotten with all before them; of an address, whose other
    /// attempts may have been at other accounts, just this one counts as not made.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn succeeded(self) -> Result<(), Failure> {
        self.settle(true).await
    }

    /// Nothing came of the attempts: they count as not made.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn give_back(self) -> Result<(), Failure> {
        self.settle(false).await
    }

    async fn settle(self, succeeded: bool) -> Result<(), Failure> {
        if self.bookings.is_empty() {
            return Ok(());
        }
        let settlements = self.bookings.into_iter().map(|(booking, forgets)| {
            if succeeded && forgets {
                AttemptResolution::Reset(booking.after.subject)
            } else {
                AttemptResolution::Refund(booking)
            }
        });
        let settlements: Vec<_> = settlements.collect();
        self.throttle.database.resolve_attempts(&settlements).await
    }
}

impl Subject<'_> {
    fn allowance(self, limits: &Limits) -> u32 {
        match self {
            Self::LoginFrom(_) => limits.login_failures_per_address,
            Self::LoginTo(_) | Self::PasswordOf(_) => limits.login_failures_per_account,
            Self::RegistrationFrom(_) => limits.registrations_per_address,
        }
    }

    /// Whether one success makes up for all failures before it.
    fn forgets(self) -> bool {
        matches!(self, Self::LoginTo(_) | Self::PasswordOf(_))
    }
}

/// The part of an address that stands for one owner.
fn site(address: IpAddr) -> [u8; 16] {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> (128 - SITE_PREFIX) << (128 - SITE_PREFIX);
            bits.to_be_bytes()
        }
    }
}
