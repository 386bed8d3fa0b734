//! Users, sessions, pictures and attempts.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, string_len, string_len_null},
};

/// The step.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let users = Table::create()
            .table("users")
            .col(big_integer("id").primary_key())
            .col(string_len("username", 255))
            // Compared byte for byte: the name was case-mapped before it came here.
            .col(string_len("username_key", 255).unique_key())
            .col(string_len("password_hash", 60))
            .col(big_integer("password_generation"))
            .col(string_len_null("avatar_digest", 64))
            .col(string_len_null("avatar_sizes", 255))
            .col(string_len_null("avatar_format", 16))
            .col(big_integer("created_at"))
            .col(big_integer("updated_at"))
            .col(big_integer("deleted_at"))
            .to_owned();
        let sessions = Table::create()
            .table("sessions")
            .col(big_integer("id").primary_key())
            .col(big_integer("user_id"))
            .col(big_integer("generation"))
            .col(big_integer("created_at"))
            .col(big_integer("last_used_at"))
            .col(big_integer("rotated_at"))
            .col(big_integer("expires_at"))
            .col(big_integer("revoked_at"))
            .col(string_len("user_agent", 255))
            .to_owned();
        let pictures = Table::create()
            .table("pictures")
            .col(big_integer("id").primary_key())
            .col(big_integer("user_id"))
            .col(string_len("digest", 64))
            .col(string_len("state", 16))
            .col(big_integer("due_at"))
            .to_owned();
        let attempts = Table::create()
            .table("attempts")
            .col(string_len("subject", 32).primary_key())
            .col(big_integer("settled_at"))
            .col(big_integer("next_at"))
            .to_owned();
        for table in [users, sessions, pictures, attempts] {
            manager.create_table(table).await?;
        }
        let indexes = [
            Index::create()
                .name("sessions_user_id")
                .table("sessions")
                .col("user_id")
                .to_owned(),
            Index::create()
                .name("pictures_user_id_digest")
                .table("pictures")
                .col("user_id")
                .col("digest")
                .unique()
                .to_owned(),
            Index::create()
                .name("pictures_due_at")
                .table("pictures")
                .col("due_at")
                .to_owned(),
            Index::create()
                .name("attempts_settled_at")
                .table("attempts")
                .col("settled_at")
                .to_owned(),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
