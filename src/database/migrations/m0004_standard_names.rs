//! Renames table `marks` to `cluster_settings` and column `attempts.settled_at` to `tat`.

use sea_orm_migration::prelude::*;

const ATTEMPTS: &str = "attempts";
const OLD_INDEX: &str = "attempts_settled_at";
const NEW_INDEX: &str = "attempts_tat";

/// See [`super::super::cluster_settings`] and [`super::super::attempts`].
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // MySQL commits after each of these statements. So each one first checks whether an earlier
        // start, which was interrupted here, has already run it.
        if manager.has_table("marks").await? {
            let rename = Table::rename()
                .table("marks", "cluster_settings")
                .to_owned();
            manager.rename_table(rename).await?;
        }
        if manager.has_column(ATTEMPTS, "settled_at").await? {
            let rename = Table::alter()
                .table(ATTEMPTS)
                .rename_column("settled_at", "tat")
                .to_owned();
            manager.alter_table(rename).await?;
        }
        // SQLite cannot rename an index. A new one is cheap here: most rows of `attempts` live for
        // minutes.
        if !manager.has_index(ATTEMPTS, NEW_INDEX).await? {
            let index = Index::create()
                .name(NEW_INDEX)
                .table(ATTEMPTS)
                .col("tat")
                .to_owned();
            manager.create_index(index).await?;
        }
        if manager.has_index(ATTEMPTS, OLD_INDEX).await? {
            let index = Index::drop().name(OLD_INDEX).table(ATTEMPTS).to_owned();
            manager.drop_index(index).await?;
        }
        Ok(())
    }
}
