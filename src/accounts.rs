//! Accounts: making them, opening them, changing their passwords.

mod username;

use std::{net::IpAddr, sync::Arc};

use secrecy::SecretString;

pub use self::username::Username;
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

/// Makes, opens and changes accounts.
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
    /// Accounts kept in `database`.
    #[must_use]
    pub fn new(
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

    /// Makes an account, for a client at `address`.
    ///
    /// # Errors
    /// [`Failure::RegistrationClosed`], [`Failure::InvalidField`], [`Failure::UsernameTaken`],
    /// [`Failure::RateLimited`], [`Failure::Busy`].
    pub async fn register(
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
            // A name that is taken must not cost a hash.
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
            // What is counted are accounts, and names that were tried out.
            outcome @ (Ok(_) | Err(Failure::UsernameTaken)) => outcome,
            Err(failure) => {
                refund(reservation).await;
                Err(failure)
            }
        }
    }

    /// Checks a user's password, for a client at `address`. Unknown users, deleted ones and wrong passwords are one
    /// answer, in one time, and one count of failures.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`], [`Failure::RateLimited`], [`Failure::Busy`].
    pub async fn authenticate(
        &self,
        username: &str,
        password: &SecretString,
        address: IpAddr,
    ) -> Result<User, Failure> {
        // Nobody can have a name that breaks the rules; it counts all the same, in the form that it came in.
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
                "a password keeps its hash of another cost until the next log-in"
            );
        }
        Ok(user)
    }

    /// Sets a new password and ends all sessions of the user.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] where the old one is wrong; [`Failure::InvalidField`], [`Failure::RateLimited`],
    /// [`Failure::Busy`].
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

    /// The account of this identifier, unless it was deleted.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`].
    pub async fn find(&self, id: i64) -> Result<User, Failure> {
        let user = self.database.user(id).await?;
        user.filter(|user| !user.is_deleted())
            .ok_or(Failure::UserNotFound)
    }
}

/// Settles an attempt by its outcome: what is neither right nor wrong does not count.
async fn commit<T>(reservation: Reservation, outcome: Result<T, Failure>) -> Result<T, Failure> {
    match &outcome {
        Ok(_) => {
            if let Err(failure) = reservation.succeeded().await {
                tracing::warn!(
                    ?failure,
                    "a log-in that succeeded counts as one that failed"
                );
            }
        }
        Err(Failure::BadCredentials) => {}
        Err(_) => refund(reservation).await,
    }
    outcome
}

/// An attempt that cannot be given back counts; the answer stays what it is.
async fn refund(reservation: Reservation) {
    if let Err(failure) = reservation.refund().await {
        tracing::warn!(
            ?failure,
            "an attempt counts that was neither right nor wrong"
        );
    }
}
