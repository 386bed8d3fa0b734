//! Rules for passwords, and their hashes (bcrypt).

use std::{io, sync::Arc, time::Duration};

use precis_core::profile::Profile;
use precis_profiles::OpaqueString;
use rayon::{ThreadPool, ThreadPoolBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::failure::{Failure, FieldProblem};

/// Minimum length of a password in characters (NIST SP 800-63B, section 5.1.1.2).
pub const MIN_CHARACTERS: usize = 8;
/// Maximum length of a password in bytes. bcrypt uses 72 bytes, and the last is a terminating zero.
pub const MAX_BYTES: usize = 71;
/// Number of hashes that may wait for each thread.
const QUEUE_PER_THREAD: usize = 8;

/// Time after which a client may retry if all permits are taken. The queue is empty by then at the
/// default cost: eight hashes of a quarter of a second for each thread.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Part of a hash that no password has. After `$2b$cost$` come 22 characters of salt and 31 of
/// hash.
const DUMMY_SALT_AND_HASH: &str = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcdO";

/// A text that follows the rules for new passwords, normalized for hashing.
#[derive(Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    /// Checks and normalizes a new password. `field` is the name of its field in the request.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] if the password breaks a rule.
    pub fn parse(field: &'static str, password: &SecretString) -> Result<Self, Failure> {
        check(password.expose_secret())
            .map(Self)
            .map_err(|problem| Failure::InvalidField { field, problem })
    }
}

/// Hashes and checks passwords on its own threads.
///
/// A hash takes about a quarter of a second of processor time. On shared threads it would delay all
/// other requests.
#[derive(Clone, Debug)]
pub struct Passwords {
    cost: u32,
    /// One permit for each hash that runs or waits.
    permits: Arc<Semaphore>,
    threads: Arc<ThreadPool>,
}

/// A permit for one hash. Held until the hash is done, even if the request ends earlier.
#[derive(Debug)]
pub struct HashPermit {
    _permit: OwnedSemaphorePermit,
}

impl Passwords {
    /// Starts `threads` threads that hash with 2^`cost` rounds.
    ///
    /// # Errors
    /// The error of the system if a thread cannot be started.
    pub fn new(cost: u32, threads: usize) -> io::Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("password-{index}"))
            // Without a handler, a panic aborts the process. With it, only the request fails,
            // because its sender is dropped.
            .panic_handler(|_| tracing::error!("a password thread panicked"))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            cost,
            permits: Arc::new(Semaphore::new(threads * (1 + QUEUE_PER_THREAD))),
            threads: Arc::new(pool),
        })
    }

    /// Acquires the permit for one hash, without waiting.
    ///
    /// # Errors
    /// [`Failure::Busy`] if as many hashes as allowed run and wait.
    pub fn acquire_permit(&self) -> Result<HashPermit, Failure> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(HashPermit { _permit: permit }),
            Err(_) => Err(Failure::busy(RETRY_AFTER)),
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`Failure::Internal`] if the system provides no random bytes for the salt.
    pub async fn hash(&self, permit: HashPermit, password: NewPassword) -> Result<String, Failure> {
        let cost = self.cost;
        self.run(permit, move || {
            bcrypt::non_truncating_hash(password.0.expose_secret(), cost)
        })
        .await
    }

    /// Checks a password against a user's hash. Without a hash, returns false after the same time.
    ///
    /// # Errors
    /// [`Failure::Internal`] if the hash is not one of bcrypt.
    pub async fn verify(
        &self,
        permit: HashPermit,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<bool, Failure> {
        let known = hash.is_some();
        let cost = self.cost;
        let hash = hash.map_or_else(|| dummy_hash(cost), str::to_owned);
        // An impossible password is hashed as well. Otherwise the response time would tell whether
        // the user exists.
        let text = normalize(password.expose_secret())
            .filter(|text| text.expose_secret().len() <= MAX_BYTES);
        let possible = text.is_some();
        let text = text.unwrap_or_default();
        let matches = self.run(permit, move || {
            let text = text.expose_secret();
            let matches = bcrypt::non_truncating_verify(text, &hash)?;
            if !matches {
                // A stored hash may have a lower cost n than the dummy hash for unknown users.
                // These hashes fill up the time: 2^n + 2^n + 2^(n+1) + … + 2^(cost-1) = 2^cost.
                for lower in cost_of(&hash).unwrap_or(cost)..cost {
                    bcrypt::non_truncating_verify(text, &dummy_hash(lower))?;
                }
            }
            Ok(matches)
        });
        Ok(matches.await? && known && possible)
    }

    /// Returns true if the cost of a hash differs from the current setting.
    pub(crate) fn is_outdated(&self, hash: &str) -> bool {
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
            // Fails if the request has ended. Then nobody needs the result.
            let _ = sender.send(outcome);
        });
        let outcome = outcome.await.map_err(Failure::internal)?;
        outcome.map_err(Failure::internal)
    }
}

/// Returns a hash of this cost that no password has.
fn dummy_hash(cost: u32) -> String {
    format!("$2b${cost:02}${DUMMY_SALT_AND_HASH}")
}

fn cost_of(hash: &str) -> Option<u32> {
    let parts: Option<bcrypt::HashParts> = hash.parse().ok();
    parts.map(|parts| parts.get_cost())
}

fn check(password: &str) -> Result<SecretString, FieldProblem> {
    // Counted before normalization, so that a long text costs no more than the count.
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
    let text = normalize(password).ok_or(FieldProblem::RefusedByPrecis)?;
    let bytes = text.expose_secret().len();
    if bytes > MAX_BYTES {
        return Err(FieldProblem::TooManyBytes {
            found: bytes,
            max: MAX_BYTES,
        });
    }
    Ok(text)
}

/// Normalizes the text as an OpaqueString (RFC 8265, section 4.2).
///
/// Keyboards may encode the same character in different ways. Normalized, they give one password.
fn normalize(password: &str) -> Option<SecretString> {
    let text = OpaqueString::new().enforce(password).ok()?.into_owned();
    Some(text.into())
}
