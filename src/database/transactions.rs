//! The transactions in which a user's pointer to a picture moves, and the picture's row with it.
//!
//! Each takes the user's row first, so that no two of them wait for each other.

use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, sea_query::Expr,
};

use super::{
    handle::Database,
    pictures::{self, State},
    retry::{AttemptError, with_retries},
    sessions::{self, Session},
    statements::insert,
    users::{Column, Entity, User, has_same_password},
};
use crate::{clock::Milliseconds, failure::Failure};

/// What goes when a picture or an account is removed. An upload that still writes is found out when it publishes.
const ALL_BUT_WRITING: [State; 2] = [State::Live, State::Retired];

/// What came of publishing a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The user's row names it now.
    Done(User),
    /// The sweep took the objects meanwhile: they must be written again.
    Swept,
    /// The session was ended meanwhile, or the account changed or deleted.
    NoRight,
}

impl Database {
    /// Makes a user's row name a picture whose objects are durable, and retires the one before it.
    ///
    /// Naming the same picture again changes nothing.
    ///
    /// # Errors
    /// The database is out of reach; then nothing has changed.
    pub async fn publish_avatar(
        &self,
        row: i64,
        owner: Owner,
        avatar: NewAvatar<'_>,
        now: Milliseconds,
        old_due_at: Milliseconds,
    ) -> Result<Published, Failure> {
        with_retries(|| self.try_publish_avatar(row, owner, avatar, now, old_due_at)).await
    }

    async fn try_publish_avatar(
        &self,
        row: i64,
        owner: Owner,
        avatar: NewAvatar<'_>,
        now: Milliseconds,
        old_due_at: Milliseconds,
    ) -> Result<Published, AttemptError> {
        let Owner { user, right } = owner;
        let transaction = self.begin().await?;
        let Some(before) = undeleted(&transaction, user).await? else {
            return Ok(Published::NoRight);
        };
        let has_right = match right {
            Right::Session(session) => sessions::is_active(&transaction, session, &before).await?,
            Right::Unchanged { since } => before.updated_at == since,
        };
        if !has_right {
            return Ok(Published::NoRight);
        }
        let unswept = pictures::Column::State.ne(State::Sweeping);
        if !pictures::set_state(&transaction, row, unswept, State::Live, Milliseconds::MAX).await? {
            return Ok(Published::Swept);
        }
        let same = avatar.is_named_by(&before);
        if !same {
            if let Some(old) = before
                .avatar_digest
                .as_deref()
                .filter(|old| *old != avatar.digest)
            {
                pictures::retire(&transaction, user, Some(old), &[State::Live], old_due_at).await?;
            }
            Entity::update_many()
                .col_expr(Column::AvatarDigest, Expr::value(avatar.digest))
                .col_expr(Column::AvatarSizes, Expr::value(avatar.sizes))
                .col_expr(Column::AvatarFormat, Expr::value(avatar.format))
                .col_expr(Column::UpdatedAt, Expr::value(now))
                .filter(Column::Id.eq(user))
                .exec(&transaction)
                .await?;
        }
        let after = if same {
            before
        } else {
            undeleted(&transaction, user)
                .await?
                .ok_or(Failure::UserNotFound)?
        };
        transaction.commit().await?;
        Ok(Published::Done(after))
    }

    /// Goes back to the default picture; all pictures of the user may be swept at once.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] where the account was deleted meanwhile, or changed after `since`.
    pub async fn remove_avatar(
        &self,
        user: i64,
        since: Option<Milliseconds>,
        now: Milliseconds,
    ) -> Result<User, Failure> {
        with_retries(|| self.try_remove_avatar(user, since, now)).await
    }

    async fn try_remove_avatar(
        &self,
        user: i64,
        since: Option<Milliseconds>,
        now: Milliseconds,
    ) -> Result<User, AttemptError> {
        let transaction = self.begin().await?;
        let before = undeleted(&transaction, user)
            .await?
            .filter(|user| since.is_none_or(|since| user.updated_at == since))
            .ok_or(Failure::UserNotFound)?;
        if before.avatar_digest.is_some() {
            clear_avatar(&transaction, user, now, 0).await?;
        }
        pictures::retire(&transaction, user, None, &ALL_BUT_WRITING, now).await?;
        let after = undeleted(&transaction, user)
            .await?
            .ok_or(Failure::UserNotFound)?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Deletes an account: its name stays taken, its sessions end, its pictures may be swept at once.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] where it was deleted already.
    pub async fn delete_user(&self, user: i64, now: Milliseconds) -> Result<User, Failure> {
        with_retries(|| self.try_delete_user(user, now)).await
    }

    async fn try_delete_user(&self, user: i64, now: Milliseconds) -> Result<User, AttemptError> {
        let transaction = self.begin().await?;
        undeleted(&transaction, user)
            .await?
            .ok_or(Failure::UserNotFound)?;
        clear_avatar(&transaction, user, now, now).await?;
        sessions::revoke_all(&transaction, user, now).await?;
        pictures::retire(&transaction, user, None, &ALL_BUT_WRITING, now).await?;
        let after = Entity::find_by_id(user)
            .one(&transaction)
            .await?
            .ok_or(Failure::UserNotFound)?;
        transaction.commit().await?;
        Ok(after)
    }
}

/// Whose picture is published, and by which right.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The account.
    pub user: i64,
    /// What must still hold.
    pub right: Right,
}

/// What allows a picture to be published.
#[derive(Clone, Copy, Debug)]
pub enum Right {
    /// The session that the upload's token belongs to lasts.
    Session(i64),
    /// The account is as it was: a picture is made whole that was found broken.
    Unchanged {
        /// When the account last changed.
        since: Milliseconds,
    },
}

/// A picture as a user's row names it.
#[derive(Clone, Copy, Debug)]
pub struct NewAvatar<'a> {
    /// The digest over all outputs, in hexadecimal.
    pub digest: &'a str,
    /// The sides, largest first, with commas.
    pub sizes: &'a str,
    /// The file extension.
    pub format: &'a str,
}

impl NewAvatar<'_> {
    fn is_named_by(&self, user: &User) -> bool {
        user.avatar_digest.as_deref() == Some(self.digest)
            && user.avatar_sizes.as_deref() == Some(self.sizes)
            && user.avatar_format.as_deref() == Some(self.format)
    }
}

/// The account, held against changes by others until the transaction ends.
pub(super) async fn undeleted(
    transaction: &DatabaseTransaction,
    user: i64,
) -> Result<Option<User>, AttemptError> {
    Ok(Entity::find_by_id(user)
        .filter(Column::DeletedAt.eq(0))
        .lock_exclusive()
        .one(transaction)
        .await?)
}

async fn clear_avatar(
    transaction: &DatabaseTransaction,
    user: i64,
    now: Milliseconds,
    deleted_at: Milliseconds,
) -> Result<(), AttemptError> {
    Entity::update_many()
        .col_expr(Column::AvatarDigest, Expr::value(None::<String>))
        .col_expr(Column::AvatarSizes, Expr::value(None::<String>))
        .col_expr(Column::AvatarFormat, Expr::value(None::<String>))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .col_expr(Column::DeletedAt, Expr::value(deleted_at))
        .filter(Column::Id.eq(user))
        .exec(transaction)
        .await?;
    Ok(())
}

// Sessions and passwords.
impl Database {
    /// Inserts a session, unless the user's password has changed since it was checked.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] if the password has changed or the account is deleted, or the database fails.
    pub async fn insert_session(&self, session: &Session, user: &User) -> Result<(), Failure> {
        with_retries(|| self.try_insert_session(session, user)).await
    }

    async fn try_insert_session(&self, session: &Session, user: &User) -> Result<(), AttemptError> {
        let transaction = self.begin().await?;
        // The lock keeps `set_password` waiting until the session is there to be revoked.
        let unchanged = Entity::find()
            .filter(has_same_password(user))
            .lock_exclusive();
        if unchanged.one(&transaction).await?.is_none() {
            return Err(Failure::BadCredentials.into());
        }
        insert::<sessions::Entity, _>(&transaction, session.clone()).await?;
        Ok(transaction.commit().await?)
    }

    /// Sets a new password and revokes all sessions of the user.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] if the password has changed since `user` was read or the account is deleted, or the
    /// database fails.
    pub async fn set_password(
        &self,
        user: &User,
        hash: String,
        now: Milliseconds,
    ) -> Result<User, Failure> {
        with_retries(|| self.try_set_password(user, &hash, now)).await
    }

    async fn try_set_password(
        &self,
        user: &User,
        hash: &str,
        now: Milliseconds,
    ) -> Result<User, AttemptError> {
        let transaction = self.begin().await?;
        let changed = Entity::update_many()
            .col_expr(Column::PasswordHash, Expr::value(hash))
            .col_expr(
                Column::PasswordGeneration,
                Expr::value(user.password_generation + 1),
            )
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(has_same_password(user))
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            return Err(Failure::BadCredentials.into());
        }
        sessions::revoke_all(&transaction, user.id, now).await?;
        let user = Entity::find_by_id(user.id).one(&transaction).await?;
        transaction.commit().await?;
        Ok(user.ok_or(Failure::BadCredentials)?)
    }
}
