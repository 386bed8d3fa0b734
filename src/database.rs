//! Accounts, sessions and the record of stored pictures: the only room that names the object-relational mapper.
//!
//! One file an entity. What several entities take part in is one transaction, in [`avatar_moves`].

pub mod attempts;
mod avatar_moves;
mod migrations;
pub mod pictures;
pub mod sessions;
pub mod users;

use std::{path::Path, time::Duration};

use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction,
    DbErr, EntityTrait, IntoActiveModel, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use sea_orm_migration::MigratorTrait;

pub use self::{
    attempts::{Attempts, Booking, Settlement},
    avatar_moves::{NewAvatar, Owner, Published},
    pictures::Stored,
    sessions::Session,
    users::User,
};
use crate::failure::Failure;

/// How long one statement waits for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request waits for its turn on a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const READERS: u32 = 8;

/// An open database.
///
/// SQLite has one writer at a time. Writes therefore share one connection, whose queue is fair,
/// where several connections would poll for the lock and starve each other.
#[derive(Clone, Debug)]
pub struct Database {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
}

impl Database {
    /// Opens the SQLite database in the file `path`, makes it where it is missing, and brings its tables up to date.
    ///
    /// # Errors
    /// The database cannot be opened, or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, DbErr> {
        let writer = connect(path, 1).await?;
        migrations::Migrator::up(&writer, None).await?;
        let reader = connect(path, READERS).await?;
        Ok(Self { reader, writer })
    }

    /// Answers whether a statement can be run now.
    ///
    /// # Errors
    /// It cannot.
    pub async fn ping(&self) -> Result<(), Failure> {
        Ok(self
            .reader
            .execute_unprepared("SELECT 1")
            .await
            .map(|_| ())?)
    }

    /// Closes all connections; SQLite then folds its write-ahead log into the main file.
    pub async fn close(self) {
        for connection in [self.reader, self.writer] {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "the database did not close cleanly");
            }
        }
    }

    /// A transaction that holds the right to write from its start, so that what it reads cannot change under it.
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let mode = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.writer.begin_with_options(mode).await
    }
}

/// Inserts a row.
///
/// Not by `ActiveModel::insert`, which asks for the row back: SQLite then commits while the statement is put away,
/// where an error of the commit, a full disk, goes unseen.
async fn insert<E, M>(connection: &impl ConnectionTrait, row: M) -> Result<(), DbErr>
where
    E: EntityTrait<Model = M>,
    M: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: ActiveModelTrait<Entity = E>,
{
    let row = row.into_active_model().reset_all();
    E::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

async fn connect(path: &Path, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    // The path goes in by its own method: within a URL a `?` or `%` in a folder's name would be misread.
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging(false);
    options.map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .filename(&path)
            .in_memory(false)
            .shared_cache(false)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
    });
    sea_orm::Database::connect(options).await
}

/// A database that cannot be had in time is busy, one without space is not available; all else is a fault.
impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        let says = |text| error.to_string().contains(text);
        let locked = || says("database is locked");
        if matches!(error, DbErr::ConnectionAcquire(_)) || locked() {
            tracing::warn!(%error, "the database is busy");
            return Self::Busy {
                retry_after: Duration::from_secs(1),
            };
        }
        if says("database or disk is full") {
            tracing::error!(%error, "the database has no space");
            return Self::Unavailable;
        }
        Self::internal(error)
    }
}
