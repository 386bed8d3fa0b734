//! Passwords: what may be one, and how it is kept (bcrypt).

use std::{io, sync::Arc, time::Duration};

use precis_core::profile::Profile;
use precis_profiles::OpaqueString;
use rayon::{ThreadPool, ThreadPoolBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::failure::{Failure, FieldProblem};

/// The fewest characters of a password (NIST SP 800-63B, section 5.1.1.2).
pub const MIN_CHARACTERS: usize = 8;
/// The most bytes of a password: bcrypt reads 72, the last of which ends the text.
pub const MAX_BYTES: usize = 71;
/// Hashes that may wait for each one at work.
const QUEUE_PER_THREAD: usize = 8;

/// A hash that no password has, for users who do not exist: what follows `$2b$cost$` is 22 characters of salt, 31 of hash.
const NOBODYS_SALT_AND_HASH: &str = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcdO";

/// A text that follows the rules for new passwords, in the one form that it is hashed in.
#[derive(Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Reads a new password from the request's field of this name.
    ///
    /// # Errors
    /// [`Failure::InvalidField`].
    pub fn parse(field: &'static str, password: &SecretString) -> Result<Self, Failure> {
        accept(password.expose_secret())
            .map(Self)
            .map_err(|problem| Failure::InvalidField { field, problem })
    }
}

/// Hashes and checks passwords on threads of its own: however many log in, and however long, what else the service does
/// waits for none of them, and they wait for nothing else.
#[derive(Clone, Debug)]
pub struct Passwords {
    cost: u32,
    /// Every hash at work or waiting holds a permit.
    permits: Arc<Semaphore>,
    threads: Arc<ThreadPool>,
}

/// The right to one hash. It moves into the work: a request that goes away frees nothing that still runs.
#[derive(Debug)]
pub struct HashPermit {
    _permit: OwnedSemaphorePermit,
}

impl Passwords {
    /// Hashes at `cost`, two to that power rounds, at most `threads` of them at once.
    ///
    /// # Errors
    /// The threads cannot be started.
    pub fn new(cost: u32, threads: usize) -> io::Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("password-{index}"))
            // A panic ends one request, whose sender it drops, and not the process.
            .panic_handler(|_| tracing::error!("a thread that hashes passwords panicked"))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            cost,
            permits: Arc::new(Semaphore::new(threads * (1 + QUEUE_PER_THREAD))),
            threads: Arc::new(pool),
        })
    }

    /// Takes a permit for one hash, before anything else is done for it.
    ///
    /// # Errors
    /// [`Failure::Busy`] where all are taken.
    pub fn acquire_permit(&self) -> Result<HashPermit, Failure> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        match permit {
            Ok(permit) => Ok(HashPermit { _permit: permit }),
            Err(_) => Err(Failure::busy(Duration::from_secs(2))),
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// There is no randomness for the salt.
    pub async fn hash(&self, permit: HashPermit, password: NewPassword) -> Result<String, Failure> {
        let cost = self.cost;
        self.run(permit, move || {
            bcrypt::non_truncating_hash(password.0.expose_secret(), cost)
        })
        .await
    }

    /// Checks a password against a user's hash. Without a user it takes as long, and the answer is no.
    ///
    /// # Errors
    /// The hash is none of bcrypt.
    pub async fn verify(
        &self,
        permit: HashPermit,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<bool, Failure> {
        let known = hash.is_some();
        let cost = self.cost;
        let hash = hash.map_or_else(|| nobodys(cost), str::to_owned);
        // A text that cannot be a password costs a hash all the same, lest the time tell whether the user exists.
        let text = prepare(password.expose_secret())
            .filter(|text| text.expose_secret().len() <= MAX_BYTES);
        let possible = text.is_some();
        let text = text.unwrap_or_default();
        let matches = self.run(permit, move || {
            let text = text.expose_secret();
            let matches = bcrypt::non_truncating_verify(text, &hash)?;
            if !matches {
                // A hash of a lower cost than that of users who do not exist is made up for:
                // 2^n + 2^n + 2^(n+1) + … + 2^(cost-1) = 2^cost.
                for lower in cost_of(&hash).unwrap_or(cost)..cost {
                    bcrypt::non_truncating_verify(text, &nobodys(lower))?;
                }
            }
            Ok(matches)
        });
        Ok(matches.await? && known && possible)
    }

    /// Whether a hash was made at another cost than hashes are made at today.
    #[must_use]
    pub fn is_outdated(&self, hash: &str) -> bool {
        cost_of(hash) != Some(self.cost)
    }

    async fn run<T: Send + 'static>(
        &self,
        permit: HashPermit,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, Failure> {
        let (sender, outcome) = oneshot::channel();
        self.threads.spawn_fifo(move || {
            let outcome = work();
            drop(permit);
            // Where nobody waits any more, nobody misses it.
            let _ = sender.send(outcome);
        });
        let outcome = outcome.await.map_err(Failure::internal)?;
        outcome.map_err(Failure::internal)
    }
}

/// A hash of this cost that no password has.
fn nobodys(cost: u32) -> String {
    format!("$2b${cost:02}${NOBODYS_SALT_AND_HASH}")
}

fn cost_of(hash: &str) -> Option<u32> {
    let parts: Option<bcrypt::HashParts> = hash.parse().ok();
    parts.map(|parts| parts.get_cost())
}

fn accept(password: &str) -> Result<SecretString, FieldProblem> {
    let characters = password.chars().count();
    if characters < MIN_CHARACTERS {
        return Err(FieldProblem::TooShort {
            found: characters,
            min: MIN_CHARACTERS,
        });
    }
    if characters > MAX_BYTES {
        return Err(FieldProblem::TooLong {
            found: characters,
            max: MAX_BYTES,
        });
    }
    if password.chars().any(|c| c.is_ascii_control()) {
        return Err(FieldProblem::ControlCharacters);
    }
    let text = prepare(password).ok_or(FieldProblem::RefusedByPrecis)?;
    let bytes = text.expose_secret().len();
    if bytes > MAX_BYTES {
        return Err(FieldProblem::TooManyBytes {
            found: bytes,
            max: MAX_BYTES,
        });
    }
    Ok(text)
}

/// The text in the one form that PRECIS gives it (RFC 8265, section 4.2), so that all keyboards yield the same password.
fn prepare(password: &str) -> Option<SecretString> {
    let text = OpaqueString::new().enforce(password).ok()?.into_owned();
    Some(text.into())
}
