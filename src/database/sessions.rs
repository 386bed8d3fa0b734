//! Sessions. A refresh token contains the session's identifier and generation, so no part of a
//! token is stored.

use sea_orm::{QueryOrder, QuerySelect, UpdateMany, entity::prelude::*, sea_query::IntoCondition};

use super::{handle::Database, statements::delete_in_batches, users::User};
use crate::{clock::Milliseconds, failure::Failure};

/// Most sessions that are listed for a user: the last used ones.
const MAX_LISTED: u64 = 100;

/// A row of `sessions`.
pub type Session = Model;

/// The columns. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// A snowflake identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// The user.
    pub user_id: i64,
    /// `users.password_generation` at log-in. The session is valid only while the user has the same
    /// value.
    pub password_generation: i64,
    /// Number of refresh tokens issued so far. The newest one contains this number.
    pub generation: i64,
    /// When the user logged in.
    pub created_at: Milliseconds,
    /// When a request last used the session. Moves in steps, see [`Database::touch_session`].
    pub last_used_at: Milliseconds,
    /// When the newest refresh token was issued.
    pub rotated_at: Milliseconds,
    /// When the newest refresh token expires.
    pub expires_at: Milliseconds,
    /// When the session was revoked; 0 if it was not.
    pub revoked_at: Milliseconds,
    /// `User-Agent` of the log-in.
    pub user_agent: String,
}

/// No relations: queries name the tables that they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    fn has_current_password(&self, user: &User) -> bool {
        // The nodes of a Galera cluster do not share row locks. One of them may insert a session
        // while the password changes on another one, and `revoke_all` there does not see it.
        self.password_generation == user.password_generation
    }
}

impl Database {
    /// Returns a session that is not revoked, and its user, if that account is not deleted.
    ///
    /// # Errors
    /// The database fails.
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
            .filter(|user| !user.is_deleted() && session.has_current_password(user));
        Ok(user.map(|user| (session, user)))
    }

    /// Returns the active sessions of a user, last used first.
    ///
    /// # Errors
    /// The database fails.
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
            .limit(MAX_LISTED)
            .all(&self.reader)
            .await?)
    }

    /// Sets the time of last use, unless another request has done so since `session` was read.
    ///
    /// # Errors
    /// The database fails.
    pub async fn touch_session(&self, session: &Session, now: Milliseconds) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::LastUsedAt, Expr::value(now))
            .filter(Column::Id.eq(session.id))
            .filter(Column::LastUsedAt.eq(session.last_used_at))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Advances a session to its next generation. Returns false if another request did so first, or
    /// if the session is revoked.
    ///
    /// # Errors
    /// The database fails.
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

    /// Deletes sessions that are revoked, or whose newest refresh token is expired.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_expired_sessions(&self, now: Milliseconds) -> Result<(), Failure> {
        // Revoked sessions match too: `revoke` sets `expires_at`.
        let expired = Column::ExpiresAt.lte(now).into_condition();
        Ok(delete_in_batches::<Entity, i64>(&self.writer, Column::Id, expired).await?)
    }

    /// Revokes a session.
    ///
    /// # Errors
    /// The database fails.
    pub async fn revoke_session(&self, id: i64, now: Milliseconds) -> Result<(), Failure> {
        revoke(now)
            .filter(Column::Id.eq(id))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Revokes a session of this user. Returns false if the user has no such active session.
    ///
    /// # Errors
    /// The database fails.
    pub async fn revoke_session_of(
        &self,
        user: i64,
        id: i64,
        now: Milliseconds,
    ) -> Result<bool, Failure> {
        let revoked = revoke(now)
            .filter(Column::Id.eq(id))
            .filter(Column::UserId.eq(user))
            .filter(Column::ExpiresAt.gt(now))
            .exec(&self.writer)
            .await?;
        Ok(revoked.rows_affected == 1)
    }

    /// Revokes all sessions of a user.
    ///
    /// # Errors
    /// The database fails.
    pub async fn revoke_sessions(&self, user: i64, now: Milliseconds) -> Result<(), Failure> {
        Ok(revoke_all(&self.writer, user, now).await?)
    }
}

/// Revokes sessions. They also expire, so that [`Database::delete_expired_sessions`] finds them by
/// its index.
fn revoke(now: Milliseconds) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .col_expr(Column::ExpiresAt, Expr::value(now))
        .filter(Column::RevokedAt.eq(0))
}

/// Returns true if a session of this user is active. Locks its row until the transaction ends.
pub(super) async fn is_active(
    connection: &impl ConnectionTrait,
    session: i64,
    user: &User,
) -> Result<bool, DbErr> {
    let row = Entity::find_by_id(session)
        .filter(Column::RevokedAt.eq(0))
        .lock_exclusive()
        .one(connection)
        .await?;
    Ok(row.is_some_and(|row| row.has_current_password(user)))
}

/// Revokes all sessions of a user.
pub(super) async fn revoke_all(
    connection: &impl ConnectionTrait,
    user: i64,
    now: Milliseconds,
) -> Result<(), DbErr> {
    revoke(now)
        .filter(Column::UserId.eq(user))
        .exec(connection)
        .await?;
    Ok(())
}
