//! Adds an index by which expired sessions are found.

use sea_orm_migration::prelude::*;

const TABLE: &str = "sessions";
const NAME: &str = "sessions_expires_at";

/// See [`super::super::sessions`].
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // MySQL commits after CREATE INDEX, so the index of an interrupted start may already exist.
        if manager.has_index(TABLE, NAME).await? {
            return Ok(());
        }
        let index = Index::create()
            .name(NAME)
            .table(TABLE)
            .col("expires_at")
            .to_owned();
        manager.create_index(index).await
    }
}
