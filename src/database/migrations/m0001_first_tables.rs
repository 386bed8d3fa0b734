//! Creates `users`, `sessions`, `pictures` and `attempts`.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, string_len, string_len_null},
    sea_orm::DbBackend,
};

/// See [`super::super::users`] and its neighbours.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // On SQLite and PostgreSQL an interrupted start then leaves nothing behind.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let users = Table::create()
            .table("users")
            .col(big_integer("id").primary_key())
            .col(string_len("username", 255))
            // Compared byte for byte: the service has case-mapped the name.
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
            .col(big_integer("password_generation"))
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
        for mut table in [users, sessions, pictures, attempts] {
            if manager.get_database_backend() == DbBackend::MySql {
                // The default collation ignores case and accents, so different names would be
                // equal.
                table.character_set("utf8mb4").collate("utf8mb4_bin");
            }
            // MySQL commits after each CREATE. So tables of an interrupted start may already exist.
            manager
                .create_table(table.if_not_exists().to_owned())
                .await?;
        }
        let indexes: [(&str, &str, &[&str]); 4] = [
            ("sessions", "sessions_user_id", &["user_id"]),
            (
                "pictures",
                "pictures_user_id_digest",
                &["user_id", "digest"],
            ),
            ("pictures", "pictures_due_at", &["due_at"]),
            ("attempts", "attempts_settled_at", &["settled_at"]),
        ];
        for (table, name, columns) in indexes {
            if manager.has_index(table, name).await? {
                continue;
            }
            let mut index = Index::create().name(name).table(table).to_owned();
            for column in columns {
                index.col(*column);
            }
            // Only one row for each picture of a user. The other indexes are not unique.
            if columns.contains(&"digest") {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
