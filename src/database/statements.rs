//! Statements that several tables need.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QuerySelect, SqlErr, TryGetableMany, Value,
};

/// Most rows that one statement deletes.
const BATCH_SIZE: usize = 1000;

/// Inserts a row.
pub(super) async fn insert<E, M>(connection: &impl ConnectionTrait, row: M) -> Result<(), DbErr>
where
    E: EntityTrait<Model = M>,
    M: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelTrait<Entity = E>,
{
    let row = row.into_active_model().reset_all();
    // Not `ActiveModel::insert`: it adds RETURNING, and SQLite then commits only when the statement
    // is finalised. An error of that commit, such as a full disk, is lost.
    E::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

/// Deletes the rows that match `condition`, in batches, so that no statement takes long or holds
/// many locks.
pub(super) async fn delete_in_batches<E: EntityTrait, Key>(
    connection: &impl ConnectionTrait,
    key: E::Column,
    condition: Condition,
) -> Result<(), DbErr>
where
    Key: TryGetableMany + Into<Value>,
{
    loop {
        let batch: Vec<Key> = E::find()
            .select_only()
            .column(key)
            .filter(condition.clone())
            .limit(BATCH_SIZE as u64)
            .into_tuple()
            .all(connection)
            .await?;
        let is_last = batch.len() < BATCH_SIZE;
        if !batch.is_empty() {
            // The condition is checked again, since a row may have changed after the SELECT, which
            // took no locks. One DELETE with a subquery would do both, but not all engines check
            // its rows again after they lock them.
            let delete = E::delete_many().filter(key.is_in(batch));
            delete.filter(condition.clone()).exec(connection).await?;
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Returns true if an insert failed because a row with the same key exists.
pub(super) fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
