//! The handle that all queries go through.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use super::retry::RetryingConnection;
use crate::failure::Failure;

/// An open database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pub(super) reader: RetryingConnection,
    pub(super) writer: RetryingConnection,
}

impl Database {
    /// Checks that the database runs statements.
    ///
    /// # Errors
    /// No connection is available, or the statement fails.
    pub async fn ping(&self) -> Result<(), Failure> {
        Ok(self
            .reader
            .execute_unprepared("SELECT 1")
            .await
            .map(|_| ())?)
    }

    /// Closes all connections. SQLite then merges its write-ahead log into the main file.
    pub async fn close(self) {
        for connection in [self.reader, self.writer] {
            if let Err(error) = connection.0.close().await {
                tracing::warn!(%error, "cannot close the database connections cleanly");
            }
        }
    }

    /// Begins a transaction.
    ///
    /// A row that must not change before the commit is read with a lock (`SELECT … FOR UPDATE`).
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            // SQLite has no row locks. BEGIN IMMEDIATE takes the write lock at once instead. A
            // transaction that took it at its first write would fail with SQLITE_BUSY if another
            // one had written since its first read.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.writer.0.begin_with_options(options).await
    }
}
