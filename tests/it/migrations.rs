//! Migrations of existing databases, and changes of several cluster settings at once.

use sea_orm::{ConnectionTrait, DatabaseConnection};
use veraicon::{
    clock::Milliseconds,
    database::{AttemptRow, AttemptUpdate, ClusterSetting, Database, DatabaseLocation},
};

use crate::database;

/// Later than any test runs.
const LATER: Milliseconds = Milliseconds::MAX;

/// The statements that undo migration m0004, the last first.
const UNDO: [&str; 4] = [
    "DELETE FROM seaql_migrations WHERE version = 'm0004_standard_names'",
    "CREATE INDEX attempts_settled_at ON attempts (tat)",
    "ALTER TABLE attempts RENAME COLUMN tat TO settled_at",
    "ALTER TABLE cluster_settings RENAME TO marks",
];

struct TestDatabase {
    location: DatabaseLocation,
    url: String,
    _folder: tempfile::TempDir,
}

impl TestDatabase {
    async fn create() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.db");
        let (location, url) = match database::create().await {
            Some(url) => {
                let location = DatabaseLocation::Server {
                    url: url.clone().into(),
                    connections: 2,
                };
                (location, url)
            }
            None => {
                let url = format!("sqlite://{}", file.display());
                (DatabaseLocation::File(file), url)
            }
        };
        Self {
            location,
            url,
            _folder: folder,
        }
    }

    async fn open(&self) -> Database {
        Database::open(&self.location).await.unwrap()
    }

    async fn connect(&self) -> DatabaseConnection {
        sea_orm::Database::connect(&self.url).await.unwrap()
    }
}

#[tokio::test]
async fn renamed_tables_keep_their_rows_wherever_an_earlier_start_was_interrupted() {
    for undone in 1..=UNDO.len() {
        let test = TestDatabase::create().await;
        let database = test.open().await;
        let store = [(ClusterSetting::Store, "a name")];
        database.set_cluster_settings(&store).await.unwrap();
        let row = AttemptRow {
            subject: "somebody".to_owned(),
            tat: LATER,
            next_at: 7,
        };
        let update = AttemptUpdate {
            before: None,
            after: row.clone(),
            cost: 1,
        };
        assert!(database.reserve_attempts(&[update]).await.unwrap());
        database.close().await;

        let connection = test.connect().await;
        for statement in &UNDO[..undone] {
            connection.execute_unprepared(statement).await.unwrap();
        }
        connection.close().await.unwrap();

        // Migrated now, and then opened once more without any migration.
        for _ in 0..2 {
            let database = test.open().await;
            let name = database.cluster_setting(ClusterSetting::Store).await;
            assert_eq!(name.unwrap().as_deref(), Some("a name"));
            let rows = database.attempts(&["somebody".to_owned()]).await;
            assert_eq!(rows.unwrap(), std::slice::from_ref(&row));
            database.close().await;
        }
    }
}

#[tokio::test]
async fn cluster_settings_change_together_or_not_at_all() {
    if std::env::var(database::SERVER).is_ok() {
        // The trigger below is SQLite's.
        return;
    }
    let test = TestDatabase::create().await;
    let database = test.open().await;
    let before = [
        (ClusterSetting::Store, "first"),
        (ClusterSetting::NextStore, "second"),
    ];
    database.set_cluster_settings(&before).await.unwrap();
    let connection = test.connect().await;
    let trigger = "CREATE TRIGGER refuse BEFORE UPDATE ON cluster_settings WHEN NEW.name = 'next store' \
        BEGIN SELECT RAISE(ABORT, 'refused'); END";
    connection.execute_unprepared(trigger).await.unwrap();
    let switch = [
        (ClusterSetting::Store, "second"),
        (ClusterSetting::NextStore, "third"),
    ];
    database.set_cluster_settings(&switch).await.unwrap_err();
    let name = database.cluster_setting(ClusterSetting::Store).await;
    assert_eq!(name.unwrap().as_deref(), Some("first"));
    connection
        .execute_unprepared("DROP TRIGGER refuse")
        .await
        .unwrap();
    database.set_cluster_settings(&switch).await.unwrap();
    let name = database.cluster_setting(ClusterSetting::NextStore).await;
    assert_eq!(name.unwrap().as_deref(), Some("third"));
    connection.close().await.unwrap();
    database.close().await;
}
