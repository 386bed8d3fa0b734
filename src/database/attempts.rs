//! What is left of the allowances that failed attempts use up, shared by all nodes and kept over restarts.

use sea_orm::{
    Condition,
    entity::prelude::*,
    sea_query::{CaseStatement, ExprTrait},
};

use super::{
    Database,
    retry::{Stop, retried},
};
use crate::{clock::Milliseconds, failure::Failure};

/// A row of `attempts`.
pub type Attempts = Model;

/// The table's columns. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// Whose allowance it is, as a keyed hash.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// When the allowance is whole again: each attempt moves this on.
    pub settled_at: Milliseconds,
    /// When the next attempt may be made.
    pub next_at: Milliseconds,
}

/// No relations are declared: queries name what they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// An attempt that is about to be made, as it changes its subject's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The row as it was read, where there was one.
    pub before: Option<Attempts>,
    /// The row as it is to be.
    pub after: Attempts,
    /// How far `settled_at` moves.
    pub cost: Milliseconds,
}

/// What becomes of a booked attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It counts as not made.
    GiveBack(Booking),
    /// It and all before it are forgotten.
    Forget(String),
}

impl Database {
    /// The rows of these subjects, in no order.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn attempts(&self, subjects: &[String]) -> Result<Vec<Attempts>, Failure> {
        Ok(Entity::find()
            .filter(Column::Subject.is_in(subjects))
            .all(&self.reader)
            .await?)
    }

    /// Books attempts, all or none, and tells whether all rows were still as they had been read.
    ///
    /// Bookings come in one order wherever they are made, so that two that share subjects do not wait for each other.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn book_attempts(&self, bookings: &[Booking]) -> Result<bool, Failure> {
        retried(|| self.try_book_attempts(bookings)).await
    }

    async fn try_book_attempts(&self, bookings: &[Booking]) -> Result<bool, Stop> {
        let transaction = self.begin().await?;
        for Booking { before, after, .. } in bookings {
            let Some(before) = before else {
                match super::insert::<Entity, _>(&transaction, after.clone()).await {
                    Ok(()) => continue,
                    Err(error) if super::is_duplicate(&error) => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            let booked = Entity::update_many()
                .col_expr(Column::SettledAt, Expr::value(after.settled_at))
                .col_expr(Column::NextAt, Expr::value(after.next_at))
                .filter(Column::Subject.eq(before.subject.clone()))
                .filter(Column::SettledAt.eq(before.settled_at))
                .filter(Column::NextAt.eq(before.next_at))
                .exec(&transaction)
                .await?;
            if booked.rows_affected == 0 {
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Settles booked attempts, all or none.
    ///
    /// # Errors
    /// The database is out of reach; then they stay booked.
    pub async fn settle_attempts(&self, settlements: &[Settlement]) -> Result<(), Failure> {
        retried(|| self.try_settle_attempts(settlements)).await
    }

    async fn try_settle_attempts(&self, settlements: &[Settlement]) -> Result<(), Stop> {
        let transaction = self.begin().await?;
        for settlement in settlements {
            match settlement {
                Settlement::Forget(subject) => {
                    Entity::delete_by_id(subject.clone())
                        .exec(&transaction)
                        .await?;
                }
                Settlement::GiveBack(Booking {
                    before,
                    after,
                    cost,
                }) => {
                    // A wait that a later attempt has set stays.
                    let next_at = CaseStatement::new()
                        .case(
                            Column::NextAt.eq(after.next_at),
                            Expr::value(before.as_ref().map_or(0, |row| row.next_at)),
                        )
                        .finally(Expr::col(Column::NextAt));
                    Entity::update_many()
                        .col_expr(Column::SettledAt, Expr::col(Column::SettledAt).sub(*cost))
                        .col_expr(Column::NextAt, next_at.into())
                        .filter(Column::Subject.eq(&after.subject))
                        .exec(&transaction)
                        .await?;
                }
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Removes rows that say nothing any more.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn forget_attempts(&self, now: Milliseconds) -> Result<(), Failure> {
        let settled = Condition::all()
            .add(Column::SettledAt.lte(now))
            .add(Column::NextAt.lte(now));
        Ok(
            super::delete_in_pieces::<Entity, String>(&self.writer, Column::Subject, settled)
                .await?,
        )
    }
}
