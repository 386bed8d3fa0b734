//! A database of its own for each test, on the server that the environment names.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    Statement, TransactionTrait,
};

/// `postgres://…` or `mysql://…`, without the name of a database; absent, tests use the embedded one.
pub(crate) const SERVER: &str = "TEST_DATABASE_URL";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Makes an empty database on the server of the environment, and returns its URL.
pub(crate) async fn create() -> Option<String> {
    let server = std::env::var(SERVER).ok()?;
    Some(create_on(&server).await)
}

/// Makes an empty database, and returns its URL.
pub(crate) async fn create_on(server: &str) -> String {
    let name = format!(
        "test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    administer(server, &format!("CREATE DATABASE {name}")).await;
    format!("{server}/{name}")
}

/// Ends all connections to a database that [`create`] made, as a server does that is shut down.
pub(crate) async fn end_connections(url: &str) {
    let (server, name) = url.rsplit_once('/').unwrap();
    if server.starts_with("postgres") {
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        administer(server, &end).await;
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
        // It may have ended by itself.
        let _ = connection.execute_unprepared(&format!("KILL {id}")).await;
    }
    connection.close().await.unwrap();
}

/// A transaction that stands in the way of the service, and that the server would rather keep than another.
pub(crate) struct Rival {
    transaction: DatabaseTransaction,
    /// Looks on meanwhile.
    observer: DatabaseConnection,
    name: String,
}

impl Rival {
    pub(crate) async fn begin(url: &str) -> Self {
        let (server, name) = url.rsplit_once('/').unwrap();
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.unwrap();
        let rival = Self {
            transaction: connection.begin().await.unwrap(),
            observer: connect(server).await,
            name: name.to_owned(),
        };
        if server.starts_with("postgres") {
            // Whoever looks for a deadlock first is rolled back.
            rival.run("SET deadlock_timeout = '1min'").await;
        } else {
            // Whoever has changed more rows goes on.
            rival
                .run("CREATE TEMPORARY TABLE weight (n BIGINT) ENGINE=InnoDB")
                .await;
            let many = "INSERT INTO weight SELECT seq FROM seq_1_to_1000";
            rival.run(many).await;
        }
        rival
    }

    pub(crate) async fn run(&self, statement: &str) {
        self.transaction
            .execute_unprepared(statement)
            .await
            .unwrap();
    }

    /// Returns when another transaction waits for a lock.
    pub(crate) async fn is_waited_for(&self) {
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
            // InnoDB shows what it showed last to whoever asks again within a tenth of a second.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }

    pub(crate) async fn commit(self) {
        self.transaction.commit().await.unwrap();
        self.observer.close().await.unwrap();
    }
}

async fn administer(server: &str, statement: &str) {
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
