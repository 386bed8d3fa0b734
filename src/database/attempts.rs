//! Rate limit state of log-ins, password changes and registrations. All nodes share it, and it
//! survives restarts.

use sea_orm::{
    Condition,
    entity::prelude::*,
    sea_query::{CaseStatement, ExprTrait},
};

use super::{
    handle::Database,
    retry::{AttemptError, with_retries},
    statements::{delete_in_batches, insert, is_duplicate},
};
use crate::{clock::Milliseconds, failure::Failure};

/// A row of `attempts`.
pub type AttemptRow = Model;

/// The columns. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// Whose attempts are counted, as a keyed hash.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// The theoretical arrival time (generic cell rate algorithm): when no attempt counts any more.
    pub tat: Milliseconds,
    /// When the next attempt is allowed; 0 for at once.
    pub next_at: Milliseconds,
}

/// No relations: queries name the tables that they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The change that one attempt makes to the row of its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptUpdate {
    /// The row that was read, if there was one.
    pub before: Option<AttemptRow>,
    /// The row to write.
    pub after: AttemptRow,
    /// The time by which `tat` grows.
    pub cost: Milliseconds,
}

/// The outcome of a reserved attempt, if it does not count as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptResolution {
    /// The attempt does not count.
    Refund(AttemptUpdate),
    /// No attempt of this subject counts any more.
    Reset(String),
}

impl Database {
    /// Returns the rows of these subjects, in any order.
    ///
    /// # Errors
    /// The database fails.
    pub async fn attempts(&self, subjects: &[String]) -> Result<Vec<AttemptRow>, Failure> {
        Ok(Entity::find()
            .filter(Column::Subject.is_in(subjects))
            .all(&self.reader)
            .await?)
    }

    /// Writes all updates, or none. Returns false if one of the rows has changed since it was read.
    ///
    /// Callers pass the subjects in the same order everywhere. Otherwise two transactions that
    /// share subjects could deadlock.
    ///
    /// # Errors
    /// The database fails.
    pub async fn reserve_attempts(&self, updates: &[AttemptUpdate]) -> Result<bool, Failure> {
        with_retries(|| self.try_reserve_attempts(updates)).await
    }

    async fn try_reserve_attempts(&self, updates: &[AttemptUpdate]) -> Result<bool, AttemptError> {
        let transaction = self.begin().await?;
        for AttemptUpdate { before, after, .. } in updates {
            let Some(before) = before else {
                match insert::<Entity, _>(&transaction, after.clone()).await {
                    Ok(()) => continue,
                    Err(error) if is_duplicate(&error) => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            // Compare-and-swap: parallel attempts must not use the same part of the allowance.
            let updated = Entity::update_many()
                .col_expr(Column::Tat, Expr::value(after.tat))
                .col_expr(Column::NextAt, Expr::value(after.next_at))
                .filter(Column::Subject.eq(before.subject.clone()))
                .filter(Column::Tat.eq(before.tat))
                .filter(Column::NextAt.eq(before.next_at))
                .exec(&transaction)
                .await?;
            if updated.rows_affected == 0 {
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Resolves reserved attempts, all or none.
    ///
    /// # Errors
    /// The database fails. The attempts then count as failed.
    pub async fn resolve_attempts(&self, resolutions: &[AttemptResolution]) -> Result<(), Failure> {
        with_retries(|| self.try_resolve_attempts(resolutions)).await
    }

    async fn try_resolve_attempts(
        &self,
        resolutions: &[AttemptResolution],
    ) -> Result<(), AttemptError> {
        let transaction = self.begin().await?;
        for resolution in resolutions {
            match resolution {
                AttemptResolution::Reset(subject) => {
                    Entity::delete_by_id(subject.clone())
                        .exec(&transaction)
                        .await?;
                }
                AttemptResolution::Refund(AttemptUpdate {
                    before,
                    after,
                    cost,
                }) => {
                    // If a later attempt has set another wait, that wait stays.
                    let next_at = CaseStatement::new()
                        .case(
                            Column::NextAt.eq(after.next_at),
                            Expr::value(before.as_ref().map_or(0, |row| row.next_at)),
                        )
                        .finally(Expr::col(Column::NextAt));
                    // Other attempts may have moved `tat` since, so the cost is subtracted instead
                    // of writing the old value back.
                    Entity::update_many()
                        .col_expr(Column::Tat, Expr::col(Column::Tat).sub(*cost))
                        .col_expr(Column::NextAt, next_at.into())
                        .filter(Column::Subject.eq(&after.subject))
                        .exec(&transaction)
                        .await?;
                }
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Deletes rows whose attempts do not count any more.
    ///
    /// # Errors
    /// The database fails.
    pub async fn delete_expired_attempts(&self, now: Milliseconds) -> Result<(), Failure> {
        let expired = Condition::all()
            .add(Column::Tat.lte(now))
            .add(Column::NextAt.lte(now));
        Ok(delete_in_batches::<Entity, String>(&self.writer, Column::Subject, expired).await?)
    }
}
