//! All statements on the table `pictures`: the record of what the object store holds.
//!
//! The meaning of the states, and who moves a row from one to another, is in
//! [`crate::avatars::lifecycle`]. This file runs the transitions that it is handed.

use sea_orm::{
    Condition, PaginatorTrait, QueryOrder, QuerySelect,
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
pub type PictureRow = Model;

/// Columns of the table `pictures`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pictures")]
pub struct Model {
    /// A snowflake, new each time the row is made.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// The user whose picture it is.
    pub user_id: i64,
    /// The digest that names the picture, unique per user.
    pub digest: String,
    /// See [`State`].
    pub state: State,
    /// From when on a sweep may claim the row, unless it is live.
    pub due_at: Milliseconds,
}

/// State of a picture. The table of states is in [`crate::avatars::lifecycle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))")]
pub enum State {
    /// An upload writes the objects.
    #[sea_orm(string_value = "writing")]
    Writing,
    /// The user's row names the picture.
    #[sea_orm(string_value = "live")]
    Live,
    /// Nothing names the picture any more.
    #[sea_orm(string_value = "retired")]
    Retired,
    /// A sweep removes the objects.
    #[sea_orm(string_value = "sweeping")]
    Sweeping,
}

/// A move of rows from one of several states to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// States that a row may be in before.
    pub from: &'static [State],
    /// State of the row afterwards.
    pub to: State,
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

impl Database {
    /// Returns the row of a user's picture.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn picture(&self, user: i64, digest: &str) -> Result<Option<PictureRow>, Failure> {
        Ok(Entity::find()
            .filter(Column::UserId.eq(user))
            .filter(Column::Digest.eq(digest))
            .one(&self.writer)
            .await?)
    }

    /// Returns the row with this identifier.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn picture_by_id(&self, id: i64) -> Result<Option<PictureRow>, Failure> {
        Ok(Entity::find_by_id(id).one(&self.writer).await?)
    }

    /// Inserts a row. Returns false if the user has a row of the same digest.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn insert_picture(&self, row: PictureRow) -> Result<bool, Failure> {
        match insert::<Entity, _>(&self.writer, row).await {
            Ok(()) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a row, unless it has changed since it was read. Returns true if it was moved.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn move_picture(
        &self,
        row: &PictureRow,
        transition: Transition,
        due_at: Milliseconds,
    ) -> Result<bool, Failure> {
        let moved = move_where(&self.writer, unchanged(row), transition, due_at).await?;
        Ok(moved == 1)
    }

    /// Moves a row, unless it has changed since it was read or a user's row names its picture.
    /// Returns true if it was moved.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn move_unreferenced_picture(
        &self,
        row: &PictureRow,
        transition: Transition,
        due_at: Milliseconds,
    ) -> Result<bool, Failure> {
        let condition = unchanged(row).add(unreferenced());
        let moved = move_where(&self.writer, condition, transition, due_at).await?;
        Ok(moved == 1)
    }

    /// Moves a row under a new identifier, unless it has changed since it was read.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn move_picture_to_new_id(
        &self,
        row: &PictureRow,
        transition: Transition,
        id: i64,
        due_at: Milliseconds,
    ) -> Result<(), Failure> {
        moving(unchanged(row), transition, due_at)
            .col_expr(Column::Id, Expr::value(id))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Moves all rows to which a transition applies.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn move_pictures(
        &self,
        transition: Transition,
        due_at: Milliseconds,
    ) -> Result<(), Failure> {
        move_where(&self.writer, Condition::all(), transition, due_at).await?;
        Ok(())
    }

    /// Deletes a row, unless it has changed since it was read.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn delete_picture(&self, row: &PictureRow) -> Result<(), Failure> {
        Entity::delete_many()
            .filter(unchanged(row))
            .exec(&self.writer)
            .await?;
        Ok(())
    }

    /// Returns up to `max` rows that a sweep may claim, longest due first: of one user, or of all.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn due_pictures(
        &self,
        user: Option<i64>,
        now: Milliseconds,
        max: u64,
    ) -> Result<Vec<PictureRow>, Failure> {
        let mut query = Entity::find().filter(due(now));
        if let Some(user) = user {
            query = query.filter(Column::UserId.eq(user));
        }
        Ok(query
            .order_by_asc(Column::DueAt)
            .limit(max)
            .all(&self.writer)
            .await?)
    }

    /// Counts the rows that a sweep may claim.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn count_due_pictures(&self, now: Milliseconds) -> Result<u64, Failure> {
        Ok(Entity::find().filter(due(now)).count(&self.reader).await?)
    }

    /// Counts all rows.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn count_pictures(&self) -> Result<u64, Failure> {
        Ok(Entity::find().count(&self.reader).await?)
    }

    /// Returns up to `max` rows whose identifier is greater than `after`, in its order.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn pictures_after(&self, after: i64, max: u64) -> Result<Vec<PictureRow>, Failure> {
        Ok(Entity::find()
            .filter(Column::Id.gt(after))
            .order_by_asc(Column::Id)
            .limit(max)
            .all(&self.reader)
            .await?)
    }

    /// Returns all rows of these users.
    ///
    /// # Errors
    /// The database cannot be reached.
    pub async fn pictures_of(&self, users: &[i64]) -> Result<Vec<PictureRow>, Failure> {
        Ok(Entity::find()
            .filter(Column::UserId.is_in(users.iter().copied()))
            .all(&self.writer)
            .await?)
    }
}

/// Moves the row with this identifier, inside a transaction. Returns true if it was moved.
pub(super) async fn move_by_id(
    connection: &impl ConnectionTrait,
    id: i64,
    transition: Transition,
    due_at: Milliseconds,
) -> Result<bool, DbErr> {
    let moved = move_where(connection, Column::Id.eq(id), transition, due_at).await?;
    Ok(moved == 1)
}

/// Moves the rows of a user, or the one of a digest, inside a transaction. Returns their number.
pub(super) async fn move_of_user(
    connection: &impl ConnectionTrait,
    user: i64,
    digest: Option<&str>,
    transition: Transition,
    due_at: Milliseconds,
) -> Result<u64, DbErr> {
    let mut condition = Condition::all().add(Column::UserId.eq(user));
    if let Some(digest) = digest {
        condition = condition.add(Column::Digest.eq(digest));
    }
    move_where(connection, condition, transition, due_at).await
}

/// Brings `due_at` of a user's rows in `writing` forward to `latest`, inside a transaction.
pub(super) async fn limit_writing(
    connection: &impl ConnectionTrait,
    user: i64,
    latest: Milliseconds,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(latest))
        .filter(Column::UserId.eq(user))
        .filter(Column::State.eq(State::Writing))
        .filter(Column::DueAt.gt(latest))
        .exec(connection)
        .await?;
    Ok(())
}

/// Matches rows that a sweep may claim: due, not live, and named by no user's row.
fn due(now: Milliseconds) -> Condition {
    Condition::all()
        .add(Column::DueAt.lte(now))
        .add(Column::State.ne(State::Live))
        .add(unreferenced())
}

/// Matches rows whose picture no user's row names.
fn unreferenced() -> Condition {
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

/// Matches a row while it is as it was read.
fn unchanged(row: &PictureRow) -> Condition {
    Condition::all()
        .add(Column::Id.eq(row.id))
        .add(Column::State.eq(row.state))
        .add(Column::DueAt.eq(row.due_at))
}

async fn move_where(
    connection: &impl ConnectionTrait,
    condition: impl IntoCondition,
    transition: Transition,
    due_at: Milliseconds,
) -> Result<u64, DbErr> {
    let moved = moving(condition, transition, due_at)
        .exec(connection)
        .await?;
    Ok(moved.rows_affected)
}

/// The statement that runs a transition: the one place that sets the column `state`.
fn moving(
    condition: impl IntoCondition,
    transition: Transition,
    due_at: Milliseconds,
) -> sea_orm::UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(transition.to))
        .col_expr(Column::DueAt, Expr::value(due_at))
        .filter(Column::State.is_in(transition.from.iter().copied()))
        .filter(condition)
}
