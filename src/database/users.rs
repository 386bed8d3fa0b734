//! Accounts.

use std::collections::HashSet;

use sea_orm::{Condition, PaginatorTrait, QueryOrder, QuerySelect, Select, entity::prelude::*};

use super::{
    handle::Database,
    statements::{insert, is_duplicate},
};
use crate::{clock::Milliseconds, digest::Digest, failure::Failure};

/// A row of `users`.
pub type User = Model;

/// The columns. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// A snowflake identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// The name, as its owner writes it.
    pub username: String,
    /// The case-mapped name. Unique.
    #[sea_orm(unique)]
    pub username_key: String,
    /// A bcrypt hash.
    pub password_hash: String,
    /// Number of passwords that the account has had. A new hash of the same password does not
    /// change it.
    pub password_generation: i64,
    /// The digest of the current picture; absent for the default picture.
    pub avatar_digest: Option<String>,
    /// The sizes of the current picture in pixels, largest first, separated by commas.
    pub avatar_sizes: Option<String>,
    /// The file extension of the current picture.
    pub avatar_format: Option<String>,
    /// When the account was made.
    pub created_at: Milliseconds,
    /// When name, password or picture last changed.
    pub updated_at: Milliseconds,
    /// When the account was deleted; 0 if it was not.
    pub deleted_at: Milliseconds,
}

/// No relations: queries name the tables that they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns true if the account is deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted_at != 0
    }

    /// Returns the digest of the current picture; `None` for the default picture.
    ///
    /// # Errors
    /// The column does not contain a digest.
    pub fn digest(&self) -> Result<Option<Digest>, Failure> {
        let digest = self.avatar_digest.as_deref().map(Digest::parse);
        digest.transpose().map_err(|error| {
            Failure::internal(format!("users, id {}: avatar_digest: {error}", self.id))
        })
    }

    /// Returns the sizes of the current picture in pixels, largest first.
    pub fn sizes(&self) -> impl Iterator<Item = u32> {
        let sizes = self.avatar_sizes.as_deref().unwrap_or_default().split(',');
        sizes.filter_map(|size| size.parse().ok())
    }
}

impl Database {
    /// Inserts an account.
    ///
    /// # Errors
    /// [`Failure::UsernameTaken`] if another account has the name, or the database fails.
    pub async fn insert_user(&self, user: User) -> Result<User, Failure> {
        // No SELECT before: two requests could both find the name free. The unique index decides.
        let Err(error) = insert::<Entity, _>(&self.writer, user.clone()).await else {
            return Ok(user);
        };
        // The primary key is unique as well. A second row with the same identifier would be a bug
        // of the service.
        let with_that_name = Entity::find().filter(Column::UsernameKey.eq(&user.username_key));
        if is_duplicate(&error) && with_that_name.one(&self.writer).await?.is_some() {
            return Err(Failure::UsernameTaken);
        }
        Err(error.into())
    }

    /// Returns the account with this identifier, even if it is deleted.
    ///
    /// # Errors
    /// The database fails.
    pub async fn user(&self, id: i64) -> Result<Option<User>, Failure> {
        Ok(Entity::find_by_id(id).one(&self.reader).await?)
    }

    /// Returns the account with this case-mapped name, even if it is deleted.
    ///
    /// # Errors
    /// The database fails.
    pub async fn user_by_key(&self, key: &str) -> Result<Option<User>, Failure> {
        Ok(Entity::find()
            .filter(Column::UsernameKey.eq(key))
            .one(&self.reader)
            .await?)
    }

    /// Returns up to `max` accounts whose identifier is greater than `after`, in its order. Deleted
    /// ones are included.
    ///
    /// # Errors
    /// The database fails.
    pub async fn users_after(&self, after: i64, max: u64) -> Result<Vec<User>, Failure> {
        Ok(page(after, max).all(&self.reader).await?)
    }

    /// Returns up to `max` accounts with a picture, as [`Self::users_after`] does.
    ///
    /// # Errors
    /// The database fails.
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
    /// The database fails.
    pub async fn count_users_with_pictures(&self) -> Result<u64, Failure> {
        let named = Entity::find().filter(Column::AvatarDigest.is_not_null());
        Ok(named.count(&self.reader).await?)
    }

    /// Returns the digests that the rows of these users name, each with its user.
    ///
    /// # Errors
    /// The database fails.
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

    /// Replaces the hash by another one of the same password, unless hash or password have changed
    /// meanwhile.
    ///
    /// # Errors
    /// The database fails.
    pub async fn rehash_password(&self, user: &User, hash: String) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::PasswordHash, Expr::value(hash))
            .filter(Column::PasswordHash.eq(user.password_hash.clone()))
            .filter(has_same_password(user))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

/// Matches the account if it is not deleted and its password has not changed since `user` was read.
pub(super) fn has_same_password(user: &User) -> Condition {
    Condition::all()
        .add(Column::Id.eq(user.id))
        .add(Column::PasswordGeneration.eq(user.password_generation))
        .add(Column::DeletedAt.eq(0))
}

fn page(after: i64, max: u64) -> Select<Entity> {
    Entity::find()
        .filter(Column::Id.gt(after))
        .order_by_asc(Column::Id)
        .limit(max)
}
