//! A database of its own for each test, on the server that the environment names.

use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};

/// `postgres://…` or `mysql://…`, without the name of a database; absent, tests use the embedded one.
pub(crate) const SERVER: &str = "TEST_DATABASE_URL";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Makes an empty database, and returns its URL.
pub(crate) async fn create() -> Option<String> {
    let server = std::env::var(SERVER).ok()?;
    let name = format!(
        "test_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    administer(&server, &format!("CREATE DATABASE {name}")).await;
    Some(format!("{server}/{name}"))
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
