//! Accounts, sessions and the record of stored pictures: the only room that names the object-relational mapper.
//!
//! One file an entity. What several entities take part in is one transaction, in [`transactions`].

pub mod attempts;
pub mod cluster_settings;
mod connect;
pub mod leases;
mod migrations;
pub mod pictures;
mod retry;
pub mod sessions;
mod transactions;
pub mod users;

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbErr,
    EntityTrait, IntoActiveModel, QueryFilter, QuerySelect, SqlErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait, TryGetableMany, Value,
};

pub use self::{
    attempts::{Attempts, Booking, Settlement},
    connect::Location,
    pictures::PictureRow,
    sessions::Session,
    transactions::{NewAvatar, Owner, Publication, PublishGuard, Published, Removal},
    users::User,
};
use self::{connect::Connections, retry::Patient};
use crate::failure::Failure;

/// Rows removed by one statement.
const PIECE: usize = 1000;

/// An open database.
#[derive(Clone, Debug)]
pub struct Database {
    reader: Patient,
    writer: Patient,
}

impl Database {
    /// Opens the database, and brings its tables up to date.
    ///
    /// # Errors
    /// The database cannot be opened, or a migration fails.
    pub async fn open(location: &Location) -> Result<Self, DbErr> {
        let Connections { reader, writer } = location.connect().await?;
        migrations::run(&writer).await?;
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
            if let Err(error) = connection.0.close().await {
                tracing::warn!(%error, "the database did not close cleanly");
            }
        }
    }

    /// A transaction. What it must find unchanged to its end it reads with a lock on the row;
    /// SQLite, which has none, holds the right to write from the transaction's start.
    async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let mode = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.writer.0.begin_with_options(mode).await
    }
}

/// A name that is like no other.
///
/// # Errors
/// The system has no randomness to give.
pub fn unique_name() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(hex::encode(random))
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

/// Removes rows a piece at a time, so that no statement takes long or holds many locks.
///
/// What is over is looked for without locks, and judged again by the statement that removes it: a row may have changed
/// meanwhile. Engines disagree on whether they would do so for one statement that does both.
async fn delete_in_pieces<E: EntityTrait, Key>(
    connection: &impl ConnectionTrait,
    key: E::Column,
    over: Condition,
) -> Result<(), DbErr>
where
    Key: TryGetableMany + Into<Value>,
{
    loop {
        let piece: Vec<Key> = E::find()
            .select_only()
            .column(key)
            .filter(over.clone())
            .limit(PIECE as u64)
            .into_tuple()
            .all(connection)
            .await?;
        let last = piece.len() < PIECE;
        if !piece.is_empty() {
            let due = E::delete_many().filter(key.is_in(piece));
            due.filter(over.clone()).exec(connection).await?;
        }
        if last {
            return Ok(());
        }
    }
}

/// Whether a row was refused since another has the same key.
fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
