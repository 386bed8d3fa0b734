//! Passwords: what may be one, and how it is kept (bcrypt).

use std::{sync::Arc, time::Duration};

use precis_core::profile::Profile;
use precis_profiles::OpaqueString;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::failure::{Failure, FieldProblem};

/// The fewest characters of a password (NIST SP 800-63B, section 5.1.1.2).
pub const SHORTEST: usize = 8;
/// The most bytes of a password: bcrypt reads 72, the last of which ends the text.
pub const LONGEST: usize = 71;
/// Hashes that may wait for each one at work.
const WAITING_EACH: usize = 8;

/// A hash that no password has, for users who do not exist: what follows `$2b$cost$` is 22 characters of salt, 31 of hash.
const NOBODYS_SALT_AND_HASH: &str = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcdO";

/// Hashes and checks passwords, away from the threads that serve requests.
#[derive(Clone, Debug)]
pub struct Passwords {
    cost: u32,
    /// Every hash at work or waiting holds a place.
    places: Arc<Semaphore>,
    /// Every hash at work holds a core.
    cores: Arc<Semaphore>,
}

impl Passwords {
    /// Hashes at `cost`, two to that power rounds, at most `cores` of them at once.
    #[must_use]
    pub fn new(cost: u32, cores: usize) -> Self {
        Self {
            cost,
            places: Arc::new(Semaphore::new(cores * (1 + WAITING_EACH))),
            cores: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] naming `field` where the text may be no password; [`Failure::Busy`].
    pub async fn hash(
        &self,
        field: &'static str,
        password: &SecretString,
    ) -> Result<String, Failure> {
        let text = accept(password.expose_secret())
            .map_err(|problem| Failure::InvalidField { field, problem })?;
        let cost = self.cost;
        self.run(move || bcrypt::non_truncating_hash(text.as_bytes(), cost))
            .await
    }

    /// Checks a password against a user's hash. Without a user it takes as long, and the answer is no.
    ///
    /// # Errors
    /// [`Failure::Busy`].
    pub async fn verify(
        &self,
        password: &SecretString,
        hash: Option<&str>,
    ) -> Result<bool, Failure> {
        let known = hash.is_some();
        let hash = hash.map_or_else(
            || format!("$2b${:02}${NOBODYS_SALT_AND_HASH}", self.cost),
            str::to_owned,
        );
        // A text that cannot be a password costs a hash all the same, lest the time tell whether the user exists.
        let text = prepare(password.expose_secret()).filter(|text| text.len() <= LONGEST);
        let possible = text.is_some();
        let text = text.unwrap_or_default();
        let matches = self
            .run(move || bcrypt::non_truncating_verify(text.as_bytes(), &hash))
            .await?;
        Ok(matches && known && possible)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = |_| Failure::Busy {
            retry_after: Duration::from_secs(2),
        };
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(busy)?;
        let core = Arc::clone(&self.cores)
            .acquire_owned()
            .await
            .map_err(Failure::internal)?;
        // Both permits move into the work: a request that goes away frees nothing that still runs.
        let work = move || {
            let outcome = work();
            drop((place, core));
            outcome
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(Failure::internal)?
            .map_err(Failure::internal)
    }
}

/// A new password, in the one form that it is hashed in.
fn accept(password: &str) -> Result<String, FieldProblem> {
    let characters = password.chars().count();
    if characters < SHORTEST {
        return Err(FieldProblem::TooShort {
            found: characters,
            least: SHORTEST,
        });
    }
    if characters > LONGEST {
        return Err(FieldProblem::TooLong {
            found: characters,
            most: LONGEST,
        });
    }
    if password.chars().any(|c| c.is_ascii_control()) {
        return Err(FieldProblem::ControlCharacters);
    }
    let text = prepare(password).ok_or(FieldProblem::RefusedByPrecis)?;
    if text.len() > LONGEST {
        return Err(FieldProblem::TooManyBytes {
            found: text.len(),
            most: LONGEST,
        });
    }
    Ok(text)
}

/// The text in the one form that PRECIS gives it (RFC 8265, section 4.2), so that all keyboards yield the same password.
fn prepare(password: &str) -> Option<String> {
    let profile = OpaqueString::new();
    profile
        .enforce(password)
        .ok()
        .map(std::borrow::Cow::into_owned)
}
