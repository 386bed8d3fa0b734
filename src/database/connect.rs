//! Connections to SQLite, PostgreSQL, MySQL and MariaDB, with a timeout for every wait.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, DatabaseConnection, DbErr,
    sqlx::{
        self, Connection, Executor, Row,
        mysql::MySqlConnection,
        postgres::PgConnection,
        sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous},
    },
};
use secrecy::{ExposeSecret, SecretString};

use super::retry::RetryingConnection;

/// Most time that a statement waits for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Most time that the server spends on one statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most time that a request waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Age at which a connection is replaced, so that nodes find a database whose address has changed.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Number of connections that read a SQLite file.
const READERS: u32 = 8;

/// The location of the database.
#[derive(Clone, Debug)]
pub enum DatabaseLocation {
    /// A SQLite file on this machine.
    File(PathBuf),
    /// A server, which other nodes may use too.
    Server {
        /// `postgres://…` or `mysql://…`. May contain a password.
        url: SecretString,
        /// Most connections that this node opens.
        connections: u32,
    },
}

/// Connections for reads and for writes. For a server both are the same pool.
pub(super) struct Connections {
    pub(super) reader: RetryingConnection,
    pub(super) writer: RetryingConnection,
}

impl DatabaseLocation {
    /// Opens the connections. Creates the SQLite file if it does not exist.
    pub(super) async fn connect(&self) -> Result<Connections, DbErr> {
        match self {
            // SQLite allows one writer at a time. With one connection, writes wait in the fair
            // queue of its pool. With several, they would poll for the lock and starve each other.
            Self::File(path) => Ok(Connections {
                writer: RetryingConnection(open_file(path, 1).await?),
                reader: RetryingConnection(open_file(path, READERS).await?),
            }),
            Self::Server { url, connections } => {
                let pool = RetryingConnection(open_server(url, *connections).await?);
                Ok(Connections {
                    reader: pool.clone(),
                    writer: pool,
                })
            }
        }
    }
}

async fn open_file(path: &Path, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let path = path.to_owned();
    // The path is set below, not in this URL, where `?` or `%` in a folder's name would be parsed.
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
            // In WAL mode, NORMAL may lose the last commits at a power loss
            // (https://sqlite.org/pragma.html).
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(LOCK_TIMEOUT)
            .foreign_keys(true)
    });
    options.map_sqlx_sqlite_pool_opts(|pool| {
        pool.after_release(|connection, _| {
            Box::pin(async move { is_outside_transaction(connection).await })
        })
    });
    sea_orm::Database::connect(options).await
}

/// Returns false for a connection that must not be used again, because the driver and SQLite
/// disagree on its transaction.
///
/// After some errors, such as a full disk, SQLite rolls back by itself
/// (<https://sqlite.org/lang_transaction.html>, section 3.1). The ROLLBACK of the driver then fails,
/// and sqlx 0.9 still counts the transaction. It makes later ones savepoints. Rolling back to a
/// savepoint does not end it. So a transaction would stay open, and everything committed inside it
/// would be lost at the next start.
async fn is_outside_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // A dropped transaction is rolled back in the background. The ping waits for that.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn open_server(url: &SecretString, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(LIFETIME)
        .sqlx_logging(false)
        // The `before_acquire` checks below test a connection too.
        .test_before_acquire(false);
    options.map_sqlx_postgres_opts(|postgres| {
        postgres.options([
            ("statement_timeout", milliseconds(STATEMENT_TIMEOUT)),
            ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
            // Releases the locks of a node that died within a transaction.
            (
                "idle_in_transaction_session_timeout",
                milliseconds(STATEMENT_TIMEOUT),
            ),
            ("default_transaction_isolation", "read committed".to_owned()),
        ])
    });
    // After a fail-over, an open connection may lead to a server that has become a standby.
    options.map_sqlx_postgres_before_acquire(|connection, _| {
        Box::pin(async move {
            is_postgres_read_only(connection)
                .await
                .map(|read_only| !read_only)
        })
    });
    options.map_sqlx_postgres_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move { refuse_read_only(is_postgres_read_only(connection).await?) })
        })
    });
    options.map_sqlx_mysql_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move {
                prepare_mysql(connection).await?;
                refuse_read_only(is_mysql_read_only(connection).await?)
            })
        })
    });
    options.map_sqlx_mysql_before_acquire(|connection, _| {
        Box::pin(async move {
            is_mysql_read_only(connection)
                .await
                .map(|read_only| !read_only)
        })
    });
    sea_orm::Database::connect(options).await
}

async fn is_postgres_read_only(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = connection.fetch_one("SELECT pg_is_in_recovery()").await?;
    row.try_get(0)
}

async fn is_mysql_read_only(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
    let row = connection.fetch_one("SELECT @@global.read_only").await?;
    Ok(row.try_get::<i64, _>(0)? != 0)
}

/// Refuses standby servers, even for reads: one that lags behind could still show a revoked session
/// as active.
fn refuse_read_only(is_read_only: bool) -> Result<(), sqlx::Error> {
    if is_read_only {
        return Err(sqlx::Error::Protocol(
            "the database server is read-only".to_owned(),
        ));
    }
    Ok(())
}

/// Sets timeouts on a connection to MySQL or MariaDB. On Galera, makes reads see the writes of
/// other nodes.
async fn prepare_mysql(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let seconds = LOCK_TIMEOUT.as_secs();
    let lock_timeout = format!("SET SESSION innodb_lock_wait_timeout = {seconds}");
    connection
        .execute(sqlx::AssertSqlSafe(lock_timeout))
        .await?;
    // The default, REPEATABLE READ, locks gaps between rows, which leads to more deadlocks.
    connection
        .execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await?;
    // MariaDB limits all statements, in seconds, and the idle time within a transaction. MySQL
    // limits only SELECT, in milliseconds. Each refuses to set the other's variables, so ask which
    // ones exist.
    let variables = connection
        .fetch_all(
            "SHOW VARIABLES WHERE Variable_name IN ('max_statement_time', 'max_execution_time', \
             'idle_transaction_timeout', 'wsrep_on')",
        )
        .await?;
    for variable in variables {
        let name: String = variable.try_get(0)?;
        let value: String = variable.try_get(1)?;
        let limit = match name.as_str() {
            "max_statement_time" | "idle_transaction_timeout" => {
                STATEMENT_TIMEOUT.as_secs().to_string()
            }
            "max_execution_time" => milliseconds(STATEMENT_TIMEOUT),
            // `wsrep_on`: a Galera node applies writes of other nodes later than they commit. 1
            // makes reads wait.
            _ if value == "ON" => {
                connection
                    .execute("SET SESSION wsrep_sync_wait = 1")
                    .await?;
                continue;
            }
            _ => continue,
        };
        let set = format!("SET SESSION {name} = {limit}");
        connection.execute(sqlx::AssertSqlSafe(set)).await?;
    }
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}
