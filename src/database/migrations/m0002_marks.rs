//! Creates `marks`, which m0004 renames to `cluster_settings`.

use sea_orm_migration::{prelude::*, schema::*};

/// See [`super::super::cluster_settings`].
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("marks")
            .if_not_exists()
            .col(string_len("name", 32).primary_key())
            .col(string_len("value", 255))
            .to_owned();
        manager.create_table(table).await
    }
}
