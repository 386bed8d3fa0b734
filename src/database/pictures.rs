//! The record of what the object store holds: a row for each set of objects, written before the first object is,
//! so that no object is ever without a row.
//!
//! A row is in one of four states:
//! `writing` (an upload has said that it will write these objects), `live` (a user's row names them),
//! `retired` (nothing names them any more), `sweeping` (they are being removed).
//! Its identifier is new each time the row is made, and each time a sweep gives it back half done. An upload publishes
//! the very row that it declared; where the sweep has had that row meanwhile, the identifiers differ,
//! and the upload starts again instead of naming objects that may not be there.

use sea_orm::{
    Condition, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{IntoCondition, Query},
};

use super::{
    handle::Database,
    statements::{insert, is_duplicate},
    users,
};
use crate::{clock::Milliseconds, digest::Digest, failure::Failure};

/// A row of `pictures`.
pub type Stored = Model;

/// The table's columns.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pictures")]
pub struct Model {
    /// A snowflake, new each time the row is made.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// Whose picture it is.
    pub user_id: i64,
    /// The digest that names it, unique for its user.
    pub digest: String,
    /// See [`State`].
    pub state: State,
    /// From when on the sweep may take the row: the end of an upload's time, of the grace, or of another sweep's time.
    pub due_at: Milliseconds,
}

/// What is being done with a set of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub enum State {
    /// An upload writes them.
    #[sea_orm(string_value = "writing")]
    Writing,
    /// A user's row names them.
    #[sea_orm(string_value = "live")]
    Live,
    /// Nothing names them any more.
    #[sea_orm(string_value = "retired")]
    Retired,
    /// They are being removed.
    #[sea_orm(string_value = "sweeping")]
    Sweeping,
}

/// No relations are declared: queries name what they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns the digest that names the picture.
    ///
    /// # Errors
    /// The column does not contain a digest.
    pub fn digest(&self) -> Result<Digest, Failure> {
        Digest::parse(&self.digest).map_err(|error| {
            Failure::internal(format!("pictures, id {}: digest: {error}", self.id))
        })
    }
}

/// What came of declaring an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// The row to publish later.
    Row(i64),
    /// The sweep is removing the very same objects: wait for it, and declare again.
    BeingSwept,
}

impl Database {
    /// Says that an upload is about to write these objects, and will be done by `until`.
    ///
    /// `id` becomes the row's identifier where there is none yet.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn declare_picture(
        &self,
        id: i64,
        user: i64,
        digest: &str,
        until: Milliseconds,
    ) -> Result<Declared, Failure> {
        let mut refused = None;
        loop {
            let row = Entity::find()
                .filter(Column::UserId.eq(user))
                .filter(Column::Digest.eq(digest))
                .one(&self.writer)
                .await?;
            let Some(row) = row else {
                // It was not for want of another digest that the row was refused.
                if let Some(error) = refused.take() {
                    return Err(DbErr::into(error));
                }
                let new = Model {
                    id,
                    user_id: user,
                    digest: digest.to_owned(),
                    state: State::Writing,
                    due_at: until,
                };
                match insert::<Entity, _>(&self.writer, new).await {
                    Ok(()) => return Ok(Declared::Row(id)),
                    Err(error) if is_duplicate(&error) => {
                        refused = Some(error);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            match row.state {
                State::Live => return Ok(Declared::Row(row.id)),
                State::Sweeping => return Ok(Declared::BeingSwept),
                State::Writing | State::Retired => {
                    let due_at = until.max(row.due_at);
                    let unswept = Column::State.is_in([State::Writing, State::Retired]);
                    if set_state(&self.writer, row.id, unswept, State::Writing, due_at).await? {
                        return Ok(Declared::Row(row.id));
                    }
                }
            }
        }
    }

    /// Gives up an upload that was declared: what it wrote may be swept at once.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn abandon_picture(&self, row: i64, now: Milliseconds) -> Result<(), Failure> {
        set_state(
            &self.writer,
            row,
            Column::State.eq(State::Writing),
            State::Retired,
            now,
        )
        .await?;
        Ok(())
    }

    /// Whether the sweep took a row that an upload declared.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn picture_was_swept(&self, row: i64) -> Result<bool, Failure> {
        let row = Entity::find_by_id(row).one(&self.writer).await?;
        Ok(row.is_none_or(|row| row.state == State::Sweeping))
    }

    /// The rows that the sweep may take, those longest due first: of one user, or of all.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn due_pictures(
        &self,
        user: Option<i64>,
        now: Milliseconds,
        most: u64,
    ) -> Result<Vec<Stored>, Failure> {
        let mut query = Entity::find().filter(due(now));
        if let Some(user) = user {
            query = query.filter(Column::UserId.eq(user));
        }
        Ok(query
            .order_by_asc(Column::DueAt)
            .limit(most)
            .all(&self.writer)
            .await?)
    }

    /// Claims a row for the sweep, unless it changed since it was read or a user's row names its objects.
    /// After `until` another sweep may take it over.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn claim_picture(&self, row: &Stored, until: Milliseconds) -> Result<bool, Failure> {
        let unchanged = Condition::all()
            .add(Column::State.eq(row.state))
            .add(Column::DueAt.eq(row.due_at))
            .add(unnamed());
        Ok(set_state(&self.writer, row.id, unchanged, State::Sweeping, until).await?)
    }

    /// Gives a row back that was claimed until then, and whose objects could not all be removed, for a sweep from `due_at` on.
    ///
    /// The row gets a new identifier: an upload that declared it before cannot publish it any more, since some of what it
    /// wrote may be gone; one that declares it from here on writes all objects anew.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn postpone_picture(
        &self,
        row: i64,
        claimed_until: Milliseconds,
        new_id: i64,
        due_at: Milliseconds,
    ) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::Id, Expr::value(new_id))
            .col_expr(Column::State, Expr::value(State::Retired))
            .col_expr(Column::DueAt, Expr::value(due_at))
            .filter(claimed(row, claimed_until))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Lets the next sweep take over what sweeps before this start had claimed.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn release_pictures(&self, now: Milliseconds) -> Result<(), Failure> {
        Entity::update_many()
            .col_expr(Column::DueAt, Expr::value(now))
            .filter(Column::State.eq(State::Sweeping))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Removes a row whose objects are gone, unless another sweep has taken the claim over.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn forget_picture(
        &self,
        row: i64,
        claimed_until: Milliseconds,
    ) -> Result<(), Failure> {
        Entity::delete_many()
            .filter(claimed(row, claimed_until))
            .exec(&self.writer)
            .await?;
        Ok(())
    }
}

/// Holds for rows that the sweep may take: their time is over, and no user's row names them.
pub(super) fn due(now: Milliseconds) -> Condition {
    Condition::all()
        .add(Column::DueAt.lte(now))
        .add(Column::State.ne(State::Live))
        .add(unnamed())
}

/// Holds for rows that no user's row names.
pub(super) fn unnamed() -> Condition {
    use sea_orm::sea_query::ExprTrait;
    let named = Query::select()
        .expr(Expr::value(1))
        .from(users::Entity)
        .and_where(Expr::col((users::Entity, users::Column::Id)).equals((Entity, Column::UserId)))
        .and_where(
            Expr::col((users::Entity, users::Column::AvatarDigest))
                .equals((Entity, Column::Digest)),
        )
        .to_owned();
    Condition::all().add(Expr::exists(named).not())
}

/// Holds while the claim on a row is the one made until then.
fn claimed(row: i64, until: Milliseconds) -> Condition {
    Condition::all()
        .add(Column::Id.eq(row))
        .add(Column::State.eq(State::Sweeping))
        .add(Column::DueAt.eq(until))
}

/// Moves a row to another state where `condition` holds, and tells whether it did.
pub(super) async fn set_state(
    connection: &impl ConnectionTrait,
    row: i64,
    condition: impl IntoCondition,
    state: State,
    due_at: Milliseconds,
) -> Result<bool, DbErr> {
    let moved = Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::DueAt, Expr::value(due_at))
        .filter(Column::Id.eq(row))
        .filter(condition)
        .exec(connection)
        .await?;
    Ok(moved.rows_affected == 1)
}

/// Retires pictures of a user that are in one of `states`, within a larger transaction: all of them, or that of one digest.
pub(super) async fn retire(
    connection: &impl ConnectionTrait,
    user: i64,
    digest: Option<&str>,
    states: &[State],
    due_at: Milliseconds,
) -> Result<(), DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Retired))
        .col_expr(Column::DueAt, Expr::value(due_at))
        .filter(Column::UserId.eq(user))
        .filter(Column::State.is_in(states.iter().copied()));
    if let Some(digest) = digest {
        update = update.filter(Column::Digest.eq(digest));
    }
    update.exec(connection).await?;
    Ok(())
}
