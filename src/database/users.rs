//! Accounts.

use std::collections::HashSet;

use sea_orm::{Condition, PaginatorTrait, QueryOrder, QuerySelect, Select, entity::prelude::*};

use super::{
    Database,
    retry::{Stop, retried},
};
use crate::{clock::Milliseconds, failure::Failure};

/// A row of `users`.
pub type User = Model;

/// The table's columns. Times are in milliseconds; 0 in `deleted_at` stands for an account that is not deleted.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// A snowflake.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// The name as its owner writes it.
    pub username: String,
    /// The name as it is compared: no other account has the same.
    #[sea_orm(unique)]
    pub username_key: String,
    /// bcrypt.
    pub password_hash: String,
    /// Counts the passwords that the account has had. A new hash of the same password does not move it.
    pub password_generation: i64,
    /// The digest that names the current picture; absent, the default picture stands in.
    pub avatar_digest: Option<String>,
    /// The sides that the current picture was made for, largest first, with commas.
    pub avatar_sizes: Option<String>,
    /// The file extension of the current picture's format.
    pub avatar_format: Option<String>,
    /// When the account was made.
    pub created_at: Milliseconds,
    /// When name, password or picture last changed.
    pub updated_at: Milliseconds,
    /// When the account was deleted.
    pub deleted_at: Milliseconds,
}

/// No relations are declared: queries name what they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Whether the account was deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted_at != 0
    }

    /// The sizes that its picture is stored in, in pixels, largest first.
    pub fn sizes(&self) -> impl Iterator<Item = u32> {
        let sizes = self.avatar_sizes.as_deref().unwrap_or_default().split(',');
        sizes.filter_map(|size| size.parse().ok())
    }
}

impl Database {
    /// Adds an account. Whether its name is free is for the table's own constraint to say, since two may ask at once.
    ///
    /// # Errors
    /// [`Failure::UsernameTaken`].
    pub async fn insert_user(&self, user: User) -> Result<User, Failure> {
        let Err(error) = super::insert::<Entity, _>(&self.writer, user.clone()).await else {
            return Ok(user);
        };
        let taken = super::is_duplicate(&error);
        // The identifier must be one of a kind too: that it is not would be a fault of the service.
        let of_that_name = Entity::find().filter(Column::UsernameKey.eq(&user.username_key));
        if taken && of_that_name.one(&self.writer).await?.is_some() {
            return Err(Failure::UsernameTaken);
        }
        Err(error.into())
    }

    /// The account of this identifier, deleted ones too.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn user(&self, id: i64) -> Result<Option<User>, Failure> {
        Ok(Entity::find_by_id(id).one(&self.reader).await?)
    }

    /// The account of this name, deleted ones too; `key` is the name as it is compared.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn user_by_key(&self, key: &str) -> Result<Option<User>, Failure> {
        Ok(Entity::find()
            .filter(Column::UsernameKey.eq(key))
            .one(&self.reader)
            .await?)
    }

    /// Sets a new password and ends all sessions, both or neither.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] where the password is no longer the one that `user` was read with,
    /// or the account was deleted meanwhile.
    pub async fn set_password(
        &self,
        user: &User,
        hash: String,
        now: Milliseconds,
    ) -> Result<User, Failure> {
        retried(|| self.try_set_password(user, &hash, now)).await
    }

    async fn try_set_password(
        &self,
        user: &User,
        hash: &str,
        now: Milliseconds,
    ) -> Result<User, Stop> {
        let transaction = self.begin().await?;
        let changed = Entity::update_many()
            .col_expr(Column::PasswordHash, Expr::value(hash))
            .col_expr(
                Column::PasswordGeneration,
                Expr::value(user.password_generation + 1),
            )
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(unchanged(user))
            .exec(&transaction)
            .await?;
        if changed.rows_affected == 0 {
            return Err(Failure::BadCredentials.into());
        }
        super::sessions::revoke_all(&transaction, user.id, now).await?;
        let user = Entity::find_by_id(user.id).one(&transaction).await?;
        transaction.commit().await?;
        Ok(user.ok_or(Failure::BadCredentials)?)
    }

    /// Keeps the same password by another hash, unless it is kept by another already or was changed meanwhile.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn rehash_password(&self, user: &User, hash: String) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::PasswordHash, Expr::value(hash))
            .filter(Column::PasswordHash.eq(user.password_hash.clone()))
            .filter(unchanged(user))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

/// Holds where the account still has the password that it was read with, and was not deleted.
pub(super) fn unchanged(user: &User) -> Condition {
    Condition::all()
        .add(Column::Id.eq(user.id))
        .add(Column::PasswordGeneration.eq(user.password_generation))
        .add(Column::DeletedAt.eq(0))
}

impl Database {
    /// Returns up to `max` accounts whose identifier is greater than `after`, in its order, deleted
    /// ones included.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn users_after(&self, after: i64, max: u64) -> Result<Vec<User>, Failure> {
        Ok(page(after, max).all(&self.reader).await?)
    }

    /// Returns up to `max` accounts with a picture, as [`Self::users_after`] does.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn users_with_pictures_after(
        &self,
        after: i64,
        max: u64,
    ) -> Result<Vec<User>, Failure> {
        let page = page(after, max).filter(Column::AvatarDigest.is_not_null());
        Ok(page.all(&self.reader).await?)
    }

    /// Counts the accounts with a picture.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn count_users_with_pictures(&self) -> Result<u64, Failure> {
        let named = Entity::find().filter(Column::AvatarDigest.is_not_null());
        Ok(named.count(&self.reader).await?)
    }

    /// Returns the digests that the rows of these users name, each with its user.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn named_digests(&self, users: &[i64]) -> Result<HashSet<(i64, String)>, Failure> {
        let named = Entity::find()
            .filter(Column::Id.is_in(users.iter().copied()))
            .filter(Column::AvatarDigest.is_not_null())
            .all(&self.writer)
            .await?;
        let named = named.into_iter();
        Ok(named
            .filter_map(|user| Some((user.id, user.avatar_digest?)))
            .collect())
    }
}

fn page(after: i64, max: u64) -> Select<Entity> {
    Entity::find()
        .filter(Column::Id.gt(after))
        .order_by_asc(Column::Id)
        .limit(max)
}
