//! The migrations. Each one runs once, in order.

mod m0001_first_tables;
mod m0002_marks;
mod m0003_sessions_expires_at;
mod m0004_standard_names;

use std::time::Duration;

use sea_orm_migration::prelude::*;

use super::{
    leases::{self, Holder},
    retry::RetryingConnection,
};

/// The lease of the node that runs migrations. A lock of the database would not do: on Galera it is
/// local to one server.
const LEASE: &str = "migrations";
/// Most time that one migration may take. If a node dies, the others wait for this long.
const LEASE_TIME: Duration = Duration::from_secs(60);
/// Time between two attempts to take the lease.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// All migrations.
struct Migrator;

impl MigratorTrait for Migrator {
    // Databases record these names, so a migration is never renamed or removed.
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first_tables::Migration),
            Box::new(m0002_marks::Migration),
            Box::new(m0003_sessions_expires_at::Migration),
            Box::new(m0004_standard_names::Migration),
        ]
    }
}

/// Runs the migrations that are missing. Only one node does so at a time.
pub(super) async fn run(connection: &RetryingConnection) -> Result<(), DbErr> {
    leases::prepare(connection).await?;
    let holder = Holder::new().map_err(|error| DbErr::Custom(error.to_string()))?;
    while !leases::take(connection, LEASE, &holder, LEASE_TIME).await? {
        tracing::info!("another node is running the database migrations; waiting for it");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let outcome = Migrator::up(&connection.0, None).await;
    if let Err(error) = leases::end(connection, LEASE, &holder).await {
        tracing::warn!(
            %error,
            "the lease on database migrations could not be released; it expires in {} s",
            LEASE_TIME.as_secs()
        );
    }
    outcome
}
