//! Sessions. A refresh token is a session and its generation, so nothing of the token itself is stored.

use sea_orm::{Condition, QuerySelect, entity::prelude::*};

use super::{
    Database,
    retry::{Stop, retried},
    users::{self, User},
};
use crate::{clock::Milliseconds, failure::Failure};

/// A row of `sessions`.
pub type Session = Model;

/// The table's columns. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// A snowflake.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// Counts the refresh tokens handed out: the newest one carries this number.
    pub generation: i64,
    /// When the user logged in.
    pub created_at: Milliseconds,
    /// When the newest refresh token was handed out.
    pub rotated_at: Milliseconds,
    /// When the newest refresh token's time is over.
    pub expires_at: Milliseconds,
    /// When the session was ended; 0 while it lasts.
    pub revoked_at: Milliseconds,
    /// What the client called itself at log-in.
    pub user_agent: String,
}

/// No relations are declared: queries name what they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Database {
    /// Begins a session, unless the user's password has changed since it was checked.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] where it has; a session begun with an old password must not outlive it.
    pub async fn insert_session(&self, session: &Session, user: &User) -> Result<(), Failure> {
        retried(|| self.try_insert_session(session, user)).await
    }

    async fn try_insert_session(&self, session: &Session, user: &User) -> Result<(), Stop> {
        let transaction = self.begin().await?;
        let same = users::Entity::find()
            .filter(users::unchanged(user))
            .lock_exclusive();
        if same.one(&transaction).await?.is_none() {
            return Err(Failure::BadCredentials.into());
        }
        super::insert::<Entity, _>(&transaction, session.clone()).await?;
        Ok(transaction.commit().await?)
    }

    /// A session that has not been ended, with its user, unless that account is deleted.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn live_session(&self, id: i64) -> Result<Option<(Session, User)>, Failure> {
        let Some(session) = Entity::find_by_id(id)
            .filter(Column::RevokedAt.eq(0))
            .one(&self.reader)
            .await?
        else {
            return Ok(None);
        };
        let user = self
            .user(session.user_id)
            .await?
            .filter(|user| !user.is_deleted());
        Ok(user.map(|user| (session, user)))
    }

    /// Moves a session from `generation` to the next, unless another request did so first or the session was ended.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn rotate_session(
        &self,
        id: i64,
        generation: i64,
        now: Milliseconds,
        expires_at: Milliseconds,
    ) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::Generation, Expr::value(generation + 1))
            .col_expr(Column::RotatedAt, Expr::value(now))
            .col_expr(Column::ExpiresAt, Expr::value(expires_at))
            .filter(Column::Id.eq(id))
            .filter(Column::Generation.eq(generation))
            .filter(Column::RevokedAt.eq(0))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Removes sessions that were ended, or whose last refresh token's time is over.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn forget_sessions(&self, now: Milliseconds) -> Result<(), Failure> {
        let over = Condition::any()
            .add(Column::ExpiresAt.lte(now))
            .add(Column::RevokedAt.ne(0));
        Entity::delete_many()
            .filter(over)
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn revoke_session(&self, id: i64, now: Milliseconds) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::RevokedAt, Expr::value(now))
            .filter(Column::Id.eq(id))
            .filter(Column::RevokedAt.eq(0))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

/// Whether a session lasts, within a larger transaction.
pub(super) async fn lasts(connection: &impl ConnectionTrait, session: i64) -> Result<bool, DbErr> {
    let row = Entity::find_by_id(session)
        .filter(Column::RevokedAt.eq(0))
        .one(connection)
        .await?;
    Ok(row.is_some())
}

/// Ends all sessions of a user, within a larger transaction.
pub(super) async fn revoke_all(
    connection: &impl ConnectionTrait,
    user: i64,
    now: Milliseconds,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::UserId.eq(user))
        .filter(Column::RevokedAt.eq(0))
        .exec(connection)
        .await?;
    Ok(())
}
