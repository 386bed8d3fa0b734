//! Transactions over several tables.
//!
//! Each one locks the user's row first, so that two of them cannot deadlock.

use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, sea_query::Expr,
};

use super::{
    handle::Database,
    pictures::{self, PictureRow, Transition},
    retry::{AttemptError, with_retries},
    sessions::{self, Session},
    statements::insert,
    users::{Column, Entity, User, has_same_password},
};
use crate::{clock::Milliseconds, failure::Failure};

/// Outcome of publishing a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The user's row names the picture now.
    Done(User),
    /// A sweep has removed objects meanwhile. All of them must be written again.
    Swept,
    /// The session has ended meanwhile, or the account was changed or deleted.
    Unauthorized,
}

/// The user whose picture is published, and the condition for it.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The account.
    pub user: i64,
    /// Condition that must still hold in the transaction.
    pub guard: PublishGuard,
}

/// Condition under which a picture may be published.
#[derive(Clone, Copy, Debug)]
pub enum PublishGuard {
    /// The session of the upload's token is active.
    Session(i64),
    /// The account has not changed: a broken picture is repaired.
    Unchanged {
        /// Time of the account's last change.
        since: Milliseconds,
    },
}

/// A picture as a user's row names it.
#[derive(Clone, Copy, Debug)]
pub struct NewAvatar<'a> {
    /// The digest over all outputs, in hexadecimal.
    pub digest: &'a str,
    /// The sizes in pixels, largest first, separated by commas.
    pub sizes: &'a str,
    /// The file extension.
    pub format: &'a str,
}

/// A picture to publish, and the transitions of its row and of the replaced picture's row.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// Identifier of the row of `pictures`.
    pub picture: i64,
    /// The user and the condition.
    pub owner: Owner,
    /// The picture that the user's row will name.
    pub avatar: NewAvatar<'a>,
    /// The present time.
    pub now: Milliseconds,
    /// Transition of the picture's row.
    pub publish: Transition,
    /// `due_at` of the picture's row.
    pub due_at: Milliseconds,
    /// Transition of the replaced picture's row.
    pub replace: Transition,
    /// `due_at` of the replaced picture's row.
    pub replaced_due_at: Milliseconds,
}

/// A user whose pictures are removed, and the transition of their rows.
#[derive(Clone, Copy, Debug)]
pub struct Removal {
    /// The account.
    pub user: i64,
    /// If given, the account must not have changed after this time.
    pub unchanged_since: Option<Milliseconds>,
    /// The present time, and `due_at` of the removed pictures.
    pub now: Milliseconds,
    /// Transition of the rows.
    pub remove: Transition,
    /// Latest `due_at` of pictures that uploads are writing.
    pub writing_due_at: Milliseconds,
}

impl Database {
    /// Makes a user's row name a picture whose objects are durable, and retires the picture before
    /// it. Naming the same picture again changes nothing.
    ///
    /// # Errors
    /// The database cannot be reached; nothing has changed then.
    pub async fn publish_avatar(
        &self,
        publication: &Publication<'_>,
    ) -> Result<Published, Failure> {
        with_retries(|| self.try_publish_avatar(publication)).await
    }

    async fn try_publish_avatar(
        &self,
        publication: &Publication<'_>,
    ) -> Result<Published, AttemptError> {
        let Publication { owner, avatar, .. } = publication;
        let transaction = self.begin().await?;
        let Some(before) = find_active_for_update(&transaction, owner.user).await? else {
            // A transaction that is dropped is rolled back.
            return Ok(Published::Unauthorized);
        };
        let authorized = match owner.guard {
            PublishGuard::Session(session) => {
                sessions::is_active(&transaction, session, &before).await?
            }
            PublishGuard::Unchanged { since } => before.updated_at == since,
        };
        if !authorized {
            return Ok(Published::Unauthorized);
        }
        let moved = pictures::move_by_id(
            &transaction,
            publication.picture,
            publication.publish,
            publication.due_at,
        );
        if !moved.await? {
            return Ok(Published::Swept);
        }
        if avatar.is_named_by(&before) {
            transaction.commit().await?;
            return Ok(Published::Done(before));
        }
        let replaced = before.avatar_digest.as_deref();
        // The same digest in another format or with other sizes has the same row, which stays live.
        if let Some(replaced) = replaced.filter(|replaced| *replaced != avatar.digest) {
            pictures::move_of_user(
                &transaction,
                owner.user,
                Some(replaced),
                publication.replace,
                publication.replaced_due_at,
            )
            .await?;
        }
        Entity::update_many()
            .col_expr(Column::AvatarDigest, Expr::value(avatar.digest))
            .col_expr(Column::AvatarSizes, Expr::value(avatar.sizes))
            .col_expr(Column::AvatarFormat, Expr::value(avatar.format))
            .col_expr(Column::UpdatedAt, Expr::value(publication.now))
            .filter(Column::Id.eq(owner.user))
            .exec(&transaction)
            .await?;
        let after = find_active_for_update(&transaction, owner.user)
            .await?
            .ok_or(Failure::UserNotFound)?;
        transaction.commit().await?;
        Ok(Published::Done(after))
    }

    /// Removes the picture from a user's row. All stored pictures of the user become due.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] if the account is deleted, or has changed after
    /// `unchanged_since`.
    pub async fn remove_avatar(&self, removal: &Removal) -> Result<User, Failure> {
        with_retries(|| self.try_remove_avatar(removal)).await
    }

    async fn try_remove_avatar(&self, removal: &Removal) -> Result<User, AttemptError> {
        let transaction = self.begin().await?;
        let unchanged = |user: &User| {
            let since = removal.unchanged_since;
            since.is_none_or(|since| user.updated_at == since)
        };
        let before = find_active_for_update(&transaction, removal.user)
            .await?
            .filter(unchanged)
            .ok_or(Failure::UserNotFound)?;
        // Without a picture the row does not change, so `updated_at` stays.
        if before.avatar_digest.is_some() {
            clear_avatar(&transaction, removal, 0).await?;
        }
        remove_pictures(&transaction, removal).await?;
        let after = find_active_for_update(&transaction, removal.user)
            .await?
            .ok_or(Failure::UserNotFound)?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Deletes an account: its name stays taken, its sessions end, its pictures become due.
    ///
    /// # Errors
    /// [`Failure::UserNotFound`] if it is deleted already.
    pub async fn delete_user(&self, removal: &Removal) -> Result<User, Failure> {
        with_retries(|| self.try_delete_user(removal)).await
    }

    async fn try_delete_user(&self, removal: &Removal) -> Result<User, AttemptError> {
        let transaction = self.begin().await?;
        find_active_for_update(&transaction, removal.user)
            .await?
            .ok_or(Failure::UserNotFound)?;
        clear_avatar(&transaction, removal, removal.now).await?;
        sessions::revoke_all(&transaction, removal.user, removal.now).await?;
        remove_pictures(&transaction, removal).await?;
        let after = Entity::find_by_id(removal.user)
            .one(&transaction)
            .await?
            .ok_or(Failure::UserNotFound)?;
        transaction.commit().await?;
        Ok(after)
    }

    /// Moves the row of a picture that its user's row names, and inserts `row` if there is none.
    /// Returns false, and changes nothing, if the user's row does not name the picture.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn restore_picture(
        &self,
        row: PictureRow,
        restore: Transition,
    ) -> Result<bool, Failure> {
        with_retries(|| self.try_restore_picture(&row, restore)).await
    }

    async fn try_restore_picture(
        &self,
        row: &PictureRow,
        restore: Transition,
    ) -> Result<bool, AttemptError> {
        let transaction = self.begin().await?;
        let user = find_active_for_update(&transaction, row.user_id).await?;
        if user.and_then(|user| user.avatar_digest).as_deref() != Some(&*row.digest) {
            return Ok(false);
        }
        let digest = Some(&*row.digest);
        let moved =
            pictures::move_of_user(&transaction, row.user_id, digest, restore, row.due_at).await?;
        if moved == 0 {
            insert::<pictures::Entity, _>(&transaction, row.clone()).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

impl NewAvatar<'_> {
    /// Returns true if the user's row names this picture with the same sizes and format.
    fn is_named_by(&self, user: &User) -> bool {
        user.avatar_digest.as_deref() == Some(self.digest)
            && user.avatar_sizes.as_deref() == Some(self.sizes)
            && user.avatar_format.as_deref() == Some(self.format)
    }
}

/// Reads an account that is not deleted, and locks its row until the transaction ends.
async fn find_active_for_update(
    transaction: &DatabaseTransaction,
    user: i64,
) -> Result<Option<User>, AttemptError> {
    Ok(Entity::find_by_id(user)
        .filter(Column::DeletedAt.eq(0))
        .lock_exclusive()
        .one(transaction)
        .await?)
}

/// Makes all pictures of a user due.
async fn remove_pictures(
    transaction: &DatabaseTransaction,
    removal: &Removal,
) -> Result<(), AttemptError> {
    let user = removal.user;
    pictures::move_of_user(transaction, user, None, removal.remove, removal.now).await?;
    // A replaced picture that is being uploaded again has a late `due_at`. It must not keep it if
    // that upload fails.
    pictures::limit_writing(transaction, user, removal.writing_due_at).await?;
    Ok(())
}

/// Removes the picture from a user's row, and sets `deleted_at`: 0 if the account stays.
async fn clear_avatar(
    transaction: &DatabaseTransaction,
    removal: &Removal,
    deleted_at: Milliseconds,
) -> Result<(), AttemptError> {
    Entity::update_many()
        .col_expr(Column::AvatarDigest, Expr::value(None::<String>))
        .col_expr(Column::AvatarSizes, Expr::value(None::<String>))
        .col_expr(Column::AvatarFormat, Expr::value(None::<String>))
        .col_expr(Column::UpdatedAt, Expr::value(removal.now))
        .col_expr(Column::DeletedAt, Expr::value(deleted_at))
        .filter(Column::Id.eq(removal.user))
        .exec(transaction)
        .await?;
    Ok(())
}

// Sessions and passwords.
impl Database {
    /// Inserts a session, unless the user's password has changed since it was checked.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] if the password has changed or the account is deleted, or the
    /// database fails.
    pub async fn insert_session(&self, session: &Session, user: &User) -> Result<(), Failure> {
        with_retries(|| self.try_insert_session(session, user)).await
    }

    async fn try_insert_session(&self, session: &Session, user: &User) -> Result<(), AttemptError> {
        let transaction = self.begin().await?;
        // The lock makes `set_password` wait until the session exists, so that it is revoked too.
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
    /// [`Failure::BadCredentials`] if the password has changed since `user` was read or the account
    /// is deleted, or the database fails.
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
