//! Connections: which engine a URL names, and the bounds on every wait.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::retry::Patient;
use sea_orm::{
    ConnectOptions, DatabaseConnection, DbErr,
    sqlx::{
        self, Executor, Row,
        mysql::MySqlConnection,
        postgres::PgConnection,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use secrecy::{ExposeSecret, SecretString};

/// How long one statement waits for a lock that another holds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server works on one statement, before it gives it up.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request waits for its turn on a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection is made anew from time to time, so that nodes find a database that has moved.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Connections that read the embedded database side by side.
const READERS: u32 = 8;

/// Where accounts, sessions and the record of pictures are kept.
#[derive(Clone, Debug)]
pub enum Location {
    /// SQLite, in a file of this machine.
    File(PathBuf),
    /// A server, which other nodes may use as well. The URL may hold a password.
    Server {
        /// `postgres://…` or `mysql://…`.
        url: SecretString,
        /// The most connections that this node opens.
        connections: u32,
    },
}

/// Connections to read and to write with; for a server they are the same.
pub(super) struct Connections {
    pub(super) reader: Patient,
    pub(super) writer: Patient,
}

impl Location {
    /// Opens the database, and makes it where it is a file that is missing.
    pub(super) async fn connect(&self) -> Result<Connections, DbErr> {
        match self {
            // SQLite has one writer at a time. Writes therefore share one connection, whose queue is fair,
            // where several connections would poll for the lock and starve each other.
            Self::File(path) => Ok(Connections {
                writer: Patient(open_file(path, 1).await?),
                reader: Patient(open_file(path, READERS).await?),
            }),
            Self::Server { url, connections } => {
                let pool = Patient(open_server(url, *connections).await?);
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
            .busy_timeout(LOCK_TIMEOUT)
            .foreign_keys(true)
    });
    sea_orm::Database::connect(options).await
}

async fn open_server(url: &SecretString, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url.expose_secret());
    options
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(LIFETIME)
        .sqlx_logging(false)
        // The checks below stand in for it.
        .test_before_acquire(false);
    options.map_sqlx_postgres_opts(|postgres| {
        postgres.options([
            ("statement_timeout", milliseconds(STATEMENT_TIMEOUT)),
            ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
            // A node that died within a transaction must not hold its locks for long.
            (
                "idle_in_transaction_session_timeout",
                milliseconds(STATEMENT_TIMEOUT),
            ),
            ("default_transaction_isolation", "read committed".to_owned()),
        ])
    });
    options.map_sqlx_postgres_before_acquire(|connection, _| {
        Box::pin(async move {
            // After a fail-over a connection may lead to a server that only reads.
            only_reads_postgres(connection).await.map(|only| !only)
        })
    });
    options.map_sqlx_postgres_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move { refuse(only_reads_postgres(connection).await?) })
        })
    });
    options.map_sqlx_mysql_pool_opts(|pool| {
        pool.after_connect(|connection, _| {
            Box::pin(async move {
                prepare_mysql(connection).await?;
                refuse(only_reads_mysql(connection).await?)
            })
        })
    });
    options.map_sqlx_mysql_before_acquire(|connection, _| {
        Box::pin(async move { only_reads_mysql(connection).await.map(|only| !only) })
    });
    sea_orm::Database::connect(options).await
}

async fn only_reads_postgres(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = connection.fetch_one("SELECT pg_is_in_recovery()").await?;
    row.try_get(0)
}

async fn only_reads_mysql(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
    let row = connection.fetch_one("SELECT @@global.read_only").await?;
    Ok(row.try_get::<i64, _>(0)? != 0)
}

/// A server that only reads is a standby, which may be behind: a session that was ended might still seem to last.
fn refuse(only_reads: bool) -> Result<(), sqlx::Error> {
    if only_reads {
        return Err(sqlx::Error::Protocol("the server only reads".to_owned()));
    }
    Ok(())
}

/// Bounds for a connection to MySQL or MariaDB, and reads that see what was written through another node of a cluster.
async fn prepare_mysql(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let seconds = LOCK_TIMEOUT.as_secs();
    let bounds = format!("SET SESSION innodb_lock_wait_timeout = {seconds}");
    connection.execute(sqlx::AssertSqlSafe(bounds)).await?;
    connection
        .execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        .await?;
    // MariaDB bounds all statements, in seconds, and the time that a transaction lies idle; MySQL only reads, in
    // milliseconds. Each knows but its own variables.
    let variables = connection
        .fetch_all("SHOW VARIABLES WHERE Variable_name IN ('max_statement_time', 'max_execution_time', 'idle_transaction_timeout', 'wsrep_on')")
        .await?;
    for variable in variables {
        let name: String = variable.try_get(0)?;
        let value: String = variable.try_get(1)?;
        let set = match name.as_str() {
            "max_statement_time" | "idle_transaction_timeout" => {
                STATEMENT_TIMEOUT.as_secs().to_string()
            }
            "max_execution_time" => milliseconds(STATEMENT_TIMEOUT),
            _ if value == "ON" => {
                connection
                    .execute("SET SESSION wsrep_sync_wait = 1")
                    .await?;
                continue;
            }
            _ => continue,
        };
        let set = format!("SET SESSION {name} = {set}");
        connection.execute(sqlx::AssertSqlSafe(set)).await?;
    }
    Ok(())
}

fn milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}
