//! What whoever looks after the service asks of all accounts and all pictures, page by page.

use std::collections::HashSet;

use sea_orm::{
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::Expr,
};

use super::{
    handle::Database,
    pictures::{self, State, Stored},
    retry::{AttemptError, with_retries},
    sessions,
    statements::{insert, is_duplicate},
    transactions::undeleted,
    users,
    users::User,
};
use crate::{clock::Milliseconds, failure::Failure};

impl Database {
    /// Accounts in the order of their identifiers, from the one after `after` on, deleted ones too.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn users_after(&self, after: i64, most: u64) -> Result<Vec<User>, Failure> {
        Ok(page_of_users(after, most).all(&self.reader).await?)
    }

    /// Those of [`Self::users_after`] that have a picture.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn users_with_pictures_after(
        &self,
        after: i64,
        most: u64,
    ) -> Result<Vec<User>, Failure> {
        let page = page_of_users(after, most).filter(users::Column::AvatarDigest.is_not_null());
        Ok(page.all(&self.reader).await?)
    }

    /// How many accounts have a picture.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn count_users_with_pictures(&self) -> Result<u64, Failure> {
        let named = users::Entity::find().filter(users::Column::AvatarDigest.is_not_null());
        Ok(named.count(&self.reader).await?)
    }

    /// Rows of `pictures` in the order of their identifiers, from the one after `after` on.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn pictures_after(&self, after: i64, most: u64) -> Result<Vec<Stored>, Failure> {
        Ok(pictures::Entity::find()
            .filter(pictures::Column::Id.gt(after))
            .order_by_asc(pictures::Column::Id)
            .limit(most)
            .all(&self.reader)
            .await?)
    }

    /// How many rows `pictures` has.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn count_pictures(&self) -> Result<u64, Failure> {
        Ok(pictures::Entity::find().count(&self.reader).await?)
    }

    /// How many rows the sweep may take.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn count_due_pictures(&self, now: Milliseconds) -> Result<u64, Failure> {
        let due = pictures::Entity::find().filter(pictures::due(now));
        Ok(due.count(&self.reader).await?)
    }

    /// The rows of `pictures` of these users, as user and digest, with the state of each.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn pictures_of(&self, users: &[i64]) -> Result<Vec<Stored>, Failure> {
        let of = pictures::Column::UserId.is_in(users.iter().copied());
        Ok(pictures::Entity::find()
            .filter(of)
            .all(&self.writer)
            .await?)
    }

    /// Which of these users' rows name which digest.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn named_digests(&self, users: &[i64]) -> Result<HashSet<(i64, String)>, Failure> {
        let named = users::Entity::find()
            .filter(users::Column::Id.is_in(users.iter().copied()))
            .filter(users::Column::AvatarDigest.is_not_null())
            .all(&self.writer)
            .await?;
        let named = named.into_iter();
        Ok(named
            .filter_map(|user| Some((user.id, user.avatar_digest?)))
            .collect())
    }

    /// Gives objects that no row names a row that the next sweep takes, unless they have one by now.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn adopt_picture(
        &self,
        id: i64,
        user: i64,
        digest: &str,
        now: Milliseconds,
    ) -> Result<bool, Failure> {
        let row = Stored {
            id,
            user_id: user,
            digest: digest.to_owned(),
            state: State::Retired,
            due_at: now,
        };
        match insert::<pictures::Entity, _>(&self.writer, row).await {
            Ok(()) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the next sweep take a picture that is kept as live though no user's row names it. The sweep looks again.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn retire_unnamed(&self, row: i64, now: Milliseconds) -> Result<(), Failure> {
        let unnamed = pictures::unnamed().add(pictures::Column::State.eq(State::Live));
        pictures::set_state(&self.writer, row, unnamed, State::Retired, now).await?;
        Ok(())
    }

    /// Makes the row of a picture that a user's row names live, whatever it was, and makes one where there is none.
    /// Tells whether the user's row still named it. `id` becomes the identifier of a new row.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn keep_named(&self, id: i64, user: i64, digest: &str) -> Result<bool, Failure> {
        with_retries(|| self.try_keep_named(id, user, digest)).await
    }

    async fn try_keep_named(&self, id: i64, user: i64, digest: &str) -> Result<bool, AttemptError> {
        let transaction = self.begin().await?;
        let account = undeleted(&transaction, user).await?;
        if account.and_then(|account| account.avatar_digest).as_deref() != Some(digest) {
            return Ok(false);
        }
        let kept = pictures::Entity::update_many()
            .col_expr(pictures::Column::State, Expr::value(State::Live))
            .col_expr(pictures::Column::DueAt, Expr::value(Milliseconds::MAX))
            .filter(pictures::Column::UserId.eq(user))
            .filter(pictures::Column::Digest.eq(digest))
            .exec(&transaction)
            .await?;
        if kept.rows_affected == 0 {
            let row = Stored {
                id,
                user_id: user,
                digest: digest.to_owned(),
                state: State::Live,
                due_at: Milliseconds::MAX,
            };
            insert::<pictures::Entity, _>(&transaction, row).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn revoke_sessions(&self, user: i64, now: Milliseconds) -> Result<(), Failure> {
        Ok(sessions::revoke_all(&self.writer, user, now).await?)
    }
}

fn page_of_users(after: i64, most: u64) -> Select<users::Entity> {
    users::Entity::find()
        .filter(users::Column::Id.gt(after))
        .order_by_asc(users::Column::Id)
        .limit(most)
}
