//! Leases. Only one of several nodes holds a lease at a time. It expires, since a node may die.
//!
//! All times are the database's, because the clocks of the nodes may differ.

use std::time::Duration;

use sea_orm::{
    Condition, DbBackend, PaginatorTrait, Statement,
    entity::prelude::*,
    sea_query::{ColumnDef as NewColumn, Table},
};

use super::{
    handle::Database,
    retry::RetryingConnection,
    statements::{insert, is_duplicate},
    unique_name::unique_name,
};
use crate::{clock::Milliseconds, failure::Failure};

/// A holder of leases, such as a running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder(String);

/// A row of `leases`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// The name of the lease.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The last holder.
    pub holder: String,
    /// When the lease expires, by the database's clock, in milliseconds since 1970.
    pub until_at: Milliseconds,
}

/// No relations: queries name the tables that they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Holder {
    /// Makes a holder that differs from all others.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        unique_name().map(Self)
    }
}

impl Database {
    /// Takes or renews a lease. Returns false if another holder has it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<bool, Failure> {
        Ok(take(&self.writer, name, holder, time).await?)
    }

    /// Counts the active leases of other holders whose names begin with `prefix`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn leases_of_others(&self, prefix: &str, holder: &Holder) -> Result<u64, Failure> {
        let now = now(&self.writer).await?;
        Ok(Entity::find()
            .filter(Column::Name.starts_with(prefix))
            .filter(Column::Holder.ne(&holder.0))
            .filter(Column::UntilAt.gt(now))
            .count(&self.writer)
            .await?)
    }

    /// Ends a lease of this holder.
    ///
    /// # Errors
    /// The database fails. The lease then expires by itself.
    pub async fn end_lease(&self, name: &str, holder: &Holder) -> Result<(), Failure> {
        Ok(end(&self.writer, name, holder).await?)
    }
}

/// Creates the table if it does not exist. No migration does this, because a migration needs a
/// lease itself.
pub(super) async fn prepare(connection: &RetryingConnection) -> Result<(), DbErr> {
    let mut table = Table::create();
    table
        .table(Entity)
        .if_not_exists()
        .col(
            NewColumn::new(Column::Name)
                .string_len(64)
                .not_null()
                .primary_key(),
        )
        .col(NewColumn::new(Column::Holder).string_len(32).not_null())
        .col(NewColumn::new(Column::UntilAt).big_integer().not_null());
    match connection.execute(&table).await {
        // If two nodes run this at once, IF NOT EXISTS fails on PostgreSQL with a duplicate key in
        // its catalogue.
        Err(error) if is_duplicate(&error) => Ok(()),
        outcome => outcome.map(|_| ()),
    }
}

/// See [`Database::take_lease`].
pub(super) async fn take(
    connection: &RetryingConnection,
    name: &str,
    holder: &Holder,
    time: Duration,
) -> Result<bool, DbErr> {
    let now = now(connection).await?;
    let until = now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let available = Condition::any()
        .add(Column::Holder.eq(&holder.0))
        .add(Column::UntilAt.lte(now));
    // One UPDATE checks and takes the lease, so two holders cannot both succeed.
    let taken = Entity::update_many()
        .col_expr(Column::Holder, Expr::value(&holder.0))
        .col_expr(Column::UntilAt, Expr::value(until))
        .filter(Column::Name.eq(name))
        .filter(available)
        .exec(connection)
        .await?;
    if taken.rows_affected == 1 {
        return Ok(true);
    }
    // Either there is no row yet, or another holder has the lease. The primary key tells which.
    let row = Model {
        name: name.to_owned(),
        holder: holder.0.clone(),
        until_at: until,
    };
    match insert::<Entity, _>(connection, row).await {
        Ok(()) => Ok(true),
        Err(error) if is_duplicate(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// See [`Database::end_lease`].
pub(super) async fn end(
    connection: &RetryingConnection,
    name: &str,
    holder: &Holder,
) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::Name.eq(name))
        .filter(Column::Holder.eq(&holder.0))
        .exec(connection)
        .await?;
    Ok(())
}

/// Returns the database's time, in milliseconds since 1970.
async fn now(connection: &RetryingConnection) -> Result<Milliseconds, DbErr> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now"
        }
        DbBackend::MySql => "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now",
        // 2440587.5 is the Julian day of 1970-01-01.
        _ => "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now",
    };
    let row = connection
        .query_one_raw(Statement::from_string(backend, sql))
        .await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))?;
    row.try_get("", "now")
}
