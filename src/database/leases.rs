//! Leases: what only one of several nodes may have at a time, and for a limited time, since a node may die.
//!
//! Times are those of the database, which all nodes share; the nodes' own clocks may differ.

use std::time::Duration;

use sea_orm::{
    Condition, DbBackend, PaginatorTrait, Statement,
    entity::prelude::*,
    sea_query::{ColumnDef as NewColumn, Table},
};

use super::{Database, retry::Patient};
use crate::{clock::Milliseconds, failure::Failure};

/// Who takes leases: made anew by each process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder(String);

/// The table's columns.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// What is leased.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// By whom.
    pub holder: String,
    /// Until when, by the database's clock, in milliseconds.
    pub until_at: Milliseconds,
}

/// No relations are declared: queries name what they join.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Holder {
    /// A holder that is like no other.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new() -> Result<Self, getrandom::Error> {
        super::unique_name().map(Self)
    }
}

impl Database {
    /// Takes a lease, or prolongs one that this holder has; tells whether it has it for `time` from now.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn take_lease(
        &self,
        name: &str,
        holder: &Holder,
        time: Duration,
    ) -> Result<bool, Failure> {
        Ok(take(&self.writer, name, holder, time).await?)
    }

    /// How many leases whose names begin so others have at the moment.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn leases_of_others(&self, prefix: &str, holder: &Holder) -> Result<u64, Failure> {
        let now = now(&self.writer).await?;
        Ok(Entity::find()
            .filter(Column::Name.starts_with(prefix))
            .filter(Column::Holder.ne(&holder.0))
            .filter(Column::UntilAt.gt(now))
            .count(&self.writer)
            .await?)
    }

    /// Gives a lease back, where this holder has it.
    ///
    /// # Errors
    /// The database is out of reach; the lease then runs out by itself.
    pub async fn end_lease(&self, name: &str, holder: &Holder) -> Result<(), Failure> {
        Ok(end(&self.writer, name, holder).await?)
    }
}

/// Makes the table where there is none: it is there before the tables that migrations make, since they are leased as well.
pub(super) async fn prepare(connection: &Patient) -> Result<(), DbErr> {
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
        // Two nodes that make it at once: PostgreSQL tells the second so.
        Err(error) if super::is_duplicate(&error) => Ok(()),
        made => made.map(|_| ()),
    }
}

/// See [`Database::take_lease`].
pub(super) async fn take(
    connection: &Patient,
    name: &str,
    holder: &Holder,
    time: Duration,
) -> Result<bool, DbErr> {
    let now = now(connection).await?;
    let until = now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    let free = Condition::any()
        .add(Column::Holder.eq(&holder.0))
        .add(Column::UntilAt.lte(now));
    let taken = Entity::update_many()
        .col_expr(Column::Holder, Expr::value(&holder.0))
        .col_expr(Column::UntilAt, Expr::value(until))
        .filter(Column::Name.eq(name))
        .filter(free)
        .exec(connection)
        .await?;
    if taken.rows_affected == 1 {
        return Ok(true);
    }
    let row = Model {
        name: name.to_owned(),
        holder: holder.0.clone(),
        until_at: until,
    };
    match super::insert::<Entity, _>(connection, row).await {
        Ok(()) => Ok(true),
        Err(error) if super::is_duplicate(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// See [`Database::end_lease`].
pub(super) async fn end(connection: &Patient, name: &str, holder: &Holder) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::Name.eq(name))
        .filter(Column::Holder.eq(&holder.0))
        .exec(connection)
        .await?;
    Ok(())
}

/// The database's time, in milliseconds since 1970.
async fn now(connection: &Patient) -> Result<Milliseconds, DbErr> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now"
        }
        DbBackend::MySql => "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now",
        _ => "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now",
    };
    let row = connection
        .query_one_raw(Statement::from_string(backend, sql))
        .await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))?;
    row.try_get("", "now")
}
