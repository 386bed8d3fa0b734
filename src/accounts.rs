//! Accounts: making them, opening them, changing their passwords.

mod username;

use std::sync::Arc;

use secrecy::SecretString;

pub use self::username::Username;
use crate::{
    auth::password::Passwords,
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
        clock: Clock,
        ids: Arc<Snowflakes>,
        registration: Registration,
    ) -> Self {
        Self {
            database,
            passwords,
            clock,
            ids,
            registration,
        }
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`Failure::RegistrationClosed`], [`Failure::InvalidField`], [`Failure::UsernameTaken`], [`Failure::Busy`].
    pub async fn register(&self, username: &str, password: &SecretString) -> Result<User, Failure> {
        if self.registration == Registration::Closed {
            return Err(Failure::RegistrationClosed);
        }
        let username = Username::parse(username)?;
        let password_hash = self.passwords.hash("password", password).await?;
        let now = self.clock.now();
        let user = User {
            id: self.ids.next().await?,
            username: username.shown,
            username_key: username.key,
            password_hash,
            avatar_digest: None,
            avatar_sizes: None,
            avatar_format: None,
            created_at: now,
            updated_at: now,
            deleted_at: 0,
        };
        self.database.insert_user(user).await
    }

    /// Checks a user's password. Unknown users, deleted ones and wrong passwords are one answer, in one time.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`], [`Failure::Busy`].
    pub async fn open(&self, username: &str, password: &SecretString) -> Result<User, Failure> {
        let user = match Username::parse(username) {
            Ok(username) => self.database.user_by_key(&username.key).await?,
            Err(_) => None,
        };
        let user = user.filter(|user| !user.is_deleted());
        let matches = self
            .passwords
            .verify(
                password,
                user.as_ref().map(|user| user.password_hash.as_str()),
            )
            .await?;
        user.filter(|_| matches).ok_or(Failure::BadCredentials)
    }

    /// Sets a new password and ends all sessions of the user.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] where the old one is wrong; [`Failure::InvalidField`], [`Failure::Busy`].
    pub async fn change_password(
        &self,
        user: &User,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<User, Failure> {
        if !self
            .passwords
            .verify(old, Some(&user.password_hash))
            .await?
        {
            return Err(Failure::BadCredentials);
        }
        let hash = self.passwords.hash("new_password", new).await?;
        self.database
            .set_password(user, hash, self.clock.now())
            .await
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
