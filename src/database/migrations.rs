//! The tables, as a list of steps; each step is run once, in order.

mod m0001_first_tables;

use sea_orm_migration::prelude::*;

/// All steps.
pub(super) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_first_tables::Migration)]
    }
}
