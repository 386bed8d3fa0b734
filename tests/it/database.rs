//! A separate database for each test, on the server in `TEST_DATABASE_URL`.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    Statement, TransactionTrait,
};

/// Environment variable with `postgres://…` or `mysql://…`, without a database name. If unset,
/// tests use the embedded database.
pub(crate) const SERVER: &str = "TEST_DATABASE_URL";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Creates an empty database on the server in [`SERVER`] and returns its URL. Returns `None` if no
/// server is set.
pub(crate) async fn create() -> Option<String> {
    let server = std::env::var(SERVER).ok()?;
    Some(create_on(&server).await)
}

/// Creates an empty database and returns its URL.
pub(crate) async fn create_on(server: &str) -> String {
    let name = format!(
        "test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    run_statement(server, &format!("CREATE DATABASE {name}")).await;
    format!("{server}/{name}")
}

/// Closes all connections to a database that [`create`] made, as a server does on shutdown.
pub(crate) async fn end_connections(url: &str) {
    let (server, name) = url.rsplit_once('/').unwrap();
    if server.starts_with("postgres") {
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        run_statement(server, &end).await;
        return;
    }
    let connection = connect(server).await;
    let list = format!("SELECT id FROM information_schema.processlist WHERE db = '{name}'");
    let backend = connection.get_database_backend();
    let rows = connection
        .query_all_raw(Statement::from_string(backend, list))
        .await
        .unwrap();
    for row in rows {
        let id: i64 = row.try_get("", "id").unwrap();
        // The connection may already be closed.
        let _ = connection.execute_unprepared(&format!("KILL {id}")).await;
    }
    connection.close().await.unwrap();
}

/// A transaction that conflicts with the service. In a deadlock, the server rolls back the
/// service's transaction.
pub(crate) struct ConflictingTransaction {
    transaction: DatabaseTransaction,
    /// A second connection, which watches for waiting transactions.
    observer: DatabaseConnection,
    name: String,
}

impl ConflictingTransaction {
    pub(crate) async fn begin(url: &str) -> Self {
        let (server, name) = url.rsplit_once('/').unwrap();
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.unwrap();
        let conflicting = Self {
            transaction: connection.begin().await.unwrap(),
            observer: connect(server).await,
            name: name.to_owned(),
        };
        if server.starts_with("postgres") {
            // PostgreSQL rolls back the transaction whose `deadlock_timeout` ends first.
            conflicting.run("SET deadlock_timeout = '1min'").await;
        } else {
            // InnoDB rolls back the transaction that has changed fewer rows.
            conflicting
                .run("CREATE TEMPORARY TABLE changes (n BIGINT) ENGINE=InnoDB")
                .await;
            let many = "INSERT INTO changes SELECT seq FROM seq_1_to_1000";
            conflicting.run(many).await;
        }
        conflicting
    }

    pub(crate) async fn run(&self, statement: &str) {
        self.transaction
            .execute_unprepared(statement)
            .await
            .unwrap();
    }

    /// Waits until another transaction waits for a lock.
    pub(crate) async fn wait_for_blocked(&self) {
        let backend = self.observer.get_database_backend();
        let waiting = match backend {
            DbBackend::Postgres => format!(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = '{}'",
                self.name
            ),
            _ => format!(
                "SELECT 1 FROM information_schema.innodb_trx JOIN information_schema.processlist \
                ON trx_mysql_thread_id = id WHERE trx_state = 'LOCK WAIT' AND db = '{}'",
                self.name
            ),
        };
        let waiting = Statement::from_string(backend, waiting);
        while self
            .observer
            .query_one_raw(waiting.clone())
            .await
            .unwrap()
            .is_none()
        {
            // InnoDB caches `innodb_trx` for 0.1 s after each query.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    pub(crate) async fn commit(self) {
        self.transaction.commit().await.unwrap();
        self.observer.close().await.unwrap();
    }
}

async fn run_statement(server: &str, statement: &str) {
    let connection = connect(server).await;
    connection.execute_unprepared(statement).await.unwrap();
    connection.close().await.unwrap();
}

async fn connect(server: &str) -> DatabaseConnection {
    let database = if server.starts_with("postgres") {
        "postgres"
    } else {
        "mysql"
    };
    let mut options = ConnectOptions::new(format!("{server}/{database}"));
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}
