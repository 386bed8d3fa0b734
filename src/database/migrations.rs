//! The tables, as a list of steps; each step is run once, in order.

mod m0001_first_tables;
mod m0002_marks;
mod m0003_sessions_expires_at;

use std::time::Duration;

use sea_orm_migration::prelude::*;

use super::{
    leases::{self, Holder},
    retry::Patient,
};

/// What a node has while it changes tables: Galera has no locks that a whole cluster sees.
const LEASE: &str = "migrations";
/// A node that dies within a step holds up the others for so long. No step may take longer.
const LEASE_TIME: Duration = Duration::from_secs(60);
/// How often a node looks whether another is done.
const PAUSE: Duration = Duration::from_millis(200);

/// All steps.
struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first_tables::Migration),
            Box::new(m0002_marks::Migration),
            Box::new(m0003_sessions_expires_at::Migration),
        ]
    }
}

/// Brings the tables up to date, one node at a time.
pub(super) async fn run(connection: &Patient) -> Result<(), DbErr> {
    leases::prepare(connection).await?;
    let holder = Holder::new().map_err(|error| DbErr::Custom(error.to_string()))?;
    while !leases::take(connection, LEASE, &holder, LEASE_TIME).await? {
        tracing::info!("another node brings the tables up to date");
        tokio::time::sleep(PAUSE).await;
    }
    let outcome = Migrator::up(&connection.0, None).await;
    if let Err(error) = leases::end(connection, LEASE, &holder).await {
        tracing::warn!(%error, "the lease on migrations could not be given back; it runs out");
    }
    outcome
}
