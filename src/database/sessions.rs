//! Sessions. A refresh token is a session and its generation, so nothing of the token itself is stored.

use sea_orm::{QueryOrder, QuerySelect, UpdateMany, entity::prelude::*, sea_query::IntoCondition};

use super::{
    Database,
    retry::{Stop, retried},
    users::{self, User},
};
use crate::{clock::Milliseconds, failure::Failure};

/// The most sessions of a user that are listed: those used last.
const MOST_LISTED: u64 = 100;

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
    /// Which of the user's passwords it was begun with: a new one ends it, whatever became of its row meanwhile.
    pub password_generation: i64,
    /// Counts the refresh tokens handed out: the newest one carries this number.
    pub generation: i64,
    /// When the user logged in.
    pub created_at: Milliseconds,
    /// When a request last came with one of its tokens; moves in steps, see [`Database::touch_session`].
    pub last_used_at: Milliseconds,
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

impl Model {
    /// A cluster of databases may begin a session on one server while the password changes on another: locks do not
    /// reach across, so the row says by which password it came to be.
    fn is_of_present_password(&self, user: &User) -> bool {
        self.password_generation == user.password_generation
    }
}

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
            .filter(|user| !user.is_deleted() && session.is_of_present_password(user));
        Ok(user.map(|user| (session, user)))
    }

    /// The sessions of a user that have not ended, the one used last first.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn live_sessions(
        &self,
        user: i64,
        now: Milliseconds,
    ) -> Result<Vec<Session>, Failure> {
        Ok(Entity::find()
            .filter(Column::UserId.eq(user))
            .filter(Column::RevokedAt.eq(0))
            .filter(Column::ExpiresAt.gt(now))
            .order_by_desc(Column::LastUsedAt)
            .order_by_desc(Column::Id)
            .limit(MOST_LISTED)
            .all(&self.reader)
            .await?)
    }

    /// Says that a session is in use, unless another request did so since `session` was read.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn touch_session(&self, session: &Session, now: Milliseconds) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::LastUsedAt, Expr::value(now))
            .filter(Column::Id.eq(session.id))
            .filter(Column::LastUsedAt.eq(session.last_used_at))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Moves a session on to its next generation, and tells whether it did: not so where another request was first,
    /// or the session was ended.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn rotate_session(&self, next: &Session) -> Result<bool, Failure> {
        let rotated = Entity::update_many()
            .col_expr(Column::Generation, Expr::value(next.generation))
            .col_expr(Column::LastUsedAt, Expr::value(next.rotated_at))
            .col_expr(Column::RotatedAt, Expr::value(next.rotated_at))
            .col_expr(Column::ExpiresAt, Expr::value(next.expires_at))
            .filter(Column::Id.eq(next.id))
            .filter(Column::Generation.eq(next.generation - 1))
            .filter(Column::RevokedAt.eq(0))
            .exec(&self.writer)
            .await?;
        Ok(rotated.rows_affected == 1)
    }

    /// Removes sessions that were ended, or whose last refresh token's time is over.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn forget_sessions(&self, now: Milliseconds) -> Result<(), Failure> {
        let over = Column::ExpiresAt.lte(now).into_condition();
        Ok(super::delete_in_pieces::<Entity, i64>(&self.writer, Column::Id, over).await?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn revoke_session(&self, id: i64, now: Milliseconds) -> Result<(), Failure> {
        ending(now)
            .filter(Column::Id.eq(id))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Ends a session of this user, and tells whether there was one.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn revoke_session_of(
        &self,
        user: i64,
        id: i64,
        now: Milliseconds,
    ) -> Result<bool, Failure> {
        let ended = ending(now)
            .filter(Column::Id.eq(id))
            .filter(Column::UserId.eq(user))
            .filter(Column::ExpiresAt.gt(now))
            .exec(&self.writer)
            .await?;
        Ok(ended.rows_affected == 1)
    }
}

impl Database {
    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn revoke_sessions(&self, user: i64, now: Milliseconds) -> Result<(), Failure> {
        Ok(revoke_all(&self.writer, user, now).await?)
    }
}

/// Ends sessions that last. Their time is over with that, so that they are forgotten.
fn ending(now: Milliseconds) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .col_expr(Column::ExpiresAt, Expr::value(now))
        .filter(Column::RevokedAt.eq(0))
}

/// Whether a session lasts, and does so until the larger transaction ends.
pub(super) async fn lasts(
    connection: &impl ConnectionTrait,
    session: i64,
    user: &User,
) -> Result<bool, DbErr> {
    let row = Entity::find_by_id(session)
        .filter(Column::RevokedAt.eq(0))
        .lock_exclusive()
        .one(connection)
        .await?;
    Ok(row.is_some_and(|row| row.is_of_present_password(user)))
}

/// Ends all sessions of a user, within a larger transaction.
pub(super) async fn revoke_all(
    connection: &impl ConnectionTrait,
    user: i64,
    now: Milliseconds,
) -> Result<(), DbErr> {
    ending(now)
        .filter(Column::UserId.eq(user))
        .exec(connection)
        .await?;
    Ok(())
}
