//! Accounts: registration, authentication by password, and password changes.

mod username;

use std::{net::IpAddr, sync::Arc};

use secrecy::SecretString;

pub(crate) use self::username::Username;
use crate::{
    auth::{
        password::{NewPassword, Passwords},
        throttle::{Reservation, Subject, Throttle},
    },
    clock::Clock,
    config::Registration,
    database::{Database, User},
    failure::Failure,
    snowflake::Snowflakes,
};

/// Registers, authenticates and changes accounts.
#[derive(Clone)]
pub struct Accounts {
    database: Database,
    passwords: Passwords,
    throttle: Throttle,
    clock: Clock,
    ids: Arc<Snowflakes>,
    registration: Registration,
}

impl Accounts {
    pub(crate) fn new(
        database: Database,
        passwords: Passwords,
        throttle: Throttle,
        clock: Clock,
        ids: Arc<Snowflakes>,
        registration: Registration,
    ) -> Self {
        Self {
            database,
            passwords,
            throttle,
            clock,
            ids,
            registration,
        }
    }

    /// Registers an account for a client at `address`.
    pub(crate) async fn register(
        &self,
        username: &str,
        password: &SecretString,
        address: IpAddr,
    ) -> Result<User, Failure> {
        if self.registration == Registration::Closed {
            return Err(Failure::RegistrationClosed);
        }
        let username = Username::parse(username)?;
        let password = NewPassword::parse("password", password)?;
        let reservation = self
            .throttle
            .reserve(&[Subject::RegistrationFrom(address)])
            .await?;
        let outcome = async {
            // Checked before the expensive hash. The insertion below checks again, so two
            // registrations in parallel cannot both succeed.
            if self.database.user_by_key(&username.key).await?.is_some() {
                return Err(Failure::UsernameTaken);
            }
            let permit = self.passwords.acquire_permit()?;
            let password_hash = self.passwords.hash(permit, password).await?;
            let now = self.clock.now();
            let user = User {
                id: self.ids.next().await?,
                username: username.display,
                username_key: username.key,
                password_hash,
                password_generation: 0,
                avatar_digest: None,
                avatar_sizes: None,
                avatar_format: None,
                created_at: now,
                updated_at: now,
                deleted_at: 0,
            };
            self.database.insert_user(user).await
        };
        match outcome.await {
            // Taken names count as well: they tell the client which accounts exist.
            outcome @ (Ok(_) | Err(Failure::UsernameTaken)) => outcome,
            Err(failure) => {
                refund(reservation).await;
                Err(failure)
            }
        }
    }

    /// Checks a user's password for a client at `address`.
    ///
    /// Unknown users, deleted users and wrong passwords get the same response after the same time,
    /// and count as failures alike.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] if the name or the password is wrong. [`Failure::RateLimited`]
    /// if the account or the address has to wait. [`Failure::Busy`] if too many hashes wait.
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn authenticate(
        &self,
        username: &str,
        password: &SecretString,
        address: IpAddr,
    ) -> Result<User, Failure> {
        // No account has an invalid name. It counts as it was sent, so that the response does not
        // tell valid names from invalid ones.
        let key = Username::parse(username).ok().map(|name| name.key);
        let name = key.as_deref().unwrap_or(username);
        let reservation = self
            .throttle
            .reserve(&[Subject::LoginFrom(address), Subject::LoginTo(name)])
            .await?;
        let outcome = async {
            let user = match &key {
                Some(key) => self.database.user_by_key(key).await?,
                None => None,
            };
            let user = user.filter(|user| !user.is_deleted());
            let hash = user.as_ref().map(|user| user.password_hash.as_str());
            let permit = self.passwords.acquire_permit()?;
            let matches = self.passwords.verify(permit, password, hash).await?;
            user.filter(|_| matches).ok_or(Failure::BadCredentials)
        };
        let user = commit(reservation, outcome.await).await?;
        if self.passwords.is_outdated(&user.password_hash)
            && let Err(failure) = self.rehash(&user, password).await
        {
            tracing::warn!(
                ?failure,
                user = user.id,
                "cannot store a hash at the current cost; the next log-in tries again"
            );
        }
        Ok(user)
    }

    /// Sets a new password and ends all sessions of the user.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] if the new password breaks a rule. [`Failure::BadCredentials`] if
    /// the old one is wrong. [`Failure::RateLimited`] if the account has to wait.
    /// [`Failure::Busy`] if too many hashes wait. [`Failure::Unavailable`] if the database cannot
    /// be reached.
    pub async fn change_password(
        &self,
        user: &User,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<User, Failure> {
        let new = NewPassword::parse("new_password", new)?;
        let permit = self.passwords.acquire_permit()?;
        let reservation = self
            .throttle
            .reserve(&[Subject::PasswordOf(user.id)])
            .await?;
        let hash = Some(user.password_hash.as_str());
        let outcome = match self.passwords.verify(permit, old, hash).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::BadCredentials),
            Err(failure) => Err(failure),
        };
        commit(reservation, outcome).await?;
        let permit = self.passwords.acquire_permit()?;
        let hash = self.passwords.hash(permit, new).await?;
        self.database
            .set_password(user, hash, self.clock.now())
            .await
    }

    async fn rehash(&self, user: &User, password: &SecretString) -> Result<(), Failure> {
        let password = NewPassword::parse("password", password)?;
        let permit = self.passwords.acquire_permit()?;
        let hash = self.passwords.hash(permit, password).await?;
        self.database.rehash_password(user, hash).await
    }

    /// Finds an account that is not deleted.
    pub(crate) async fn find(&self, id: i64) -> Result<User, Failure> {
        let user = self.database.user(id).await?;
        user.filter(|user| !user.is_deleted())
            .ok_or(Failure::UserNotFound)
    }
}

/// Resolves a reservation by the outcome of its attempt.
///
/// Only wrong credentials count as a failure. Other errors say nothing about the password.
async fn commit<T>(reservation: Reservation, outcome: Result<T, Failure>) -> Result<T, Failure> {
    match &outcome {
        Ok(_) => {
            if let Err(failure) = reservation.succeeded().await {
                tracing::warn!(
                    ?failure,
                    "cannot resolve the attempt of a successful log-in; it counts as failed"
                );
            }
        }
        // Dropped, the reservation counts as a failure.
        Err(Failure::BadCredentials) => {}
        Err(_) => refund(reservation).await,
    }
    outcome
}

/// Gives an attempt back. A failure is only logged: the response does not depend on it.
async fn refund(reservation: Reservation) {
    if let Err(failure) = reservation.refund().await {
        tracing::warn!(?failure, "cannot give an attempt back; it counts as failed");
    }
}
