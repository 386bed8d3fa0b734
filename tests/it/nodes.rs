//! Several nodes on one database and one object store. These tests need a database server, since
//! the embedded database supports a single node.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use sea_orm::ConnectionTrait;
use veraicon::{
    database::{Database, DatabaseLocation},
    node::NodeLease,
};

use crate::{
    database, picture,
    service::{ApiResponse, RequestExt, Service},
};

fn id(user: &ApiResponse) -> i64 {
    user.data()["id"].as_str().unwrap().parse().unwrap()
}

/// Returns the number of the node that generated a user's identifier.
fn node_of(user: &ApiResponse) -> i64 {
    // An identifier has 10 bits of node number above 12 bits of sequence number.
    (id(user) >> 12) & 0x3ff
}

/// Starts two nodes. Returns `None` if there is no database server to share.
async fn two_nodes() -> Option<(Service, Service)> {
    let first = Service::start().await;
    if first.app.config.database.url.is_none() {
        eprintln!(
            "skipped: {} is not set (scripts/with-postgres and scripts/with-mariadb start a server)",
            database::SERVER
        );
        return None;
    }
    let url = first.app.config.database.url.clone();
    let mut storage = first.app.config.storage.clone();
    let objects = first.app.config.storage_location().unwrap().to_string();
    storage.url.get_or_insert(objects);
    let second = Service::start_with(|config| {
        config.database.url = url;
        config.storage = storage;
        config.server.public_url = Some(first.app.public_url().to_owned());
    })
    .await;
    Some((first, second))
}

#[tokio::test]
async fn changes_on_one_node_are_visible_on_the_other_at_once() {
    let Some((first, second)) = two_nodes().await else {
        return;
    };
    let session = first.user("someone").await;
    let uploaded = first.upload(&session, picture::numbered(1)).await;
    assert_eq!(&second.info(&session).await, uploaded.succeeded().data());
    let again = second.upload(&session, picture::numbered(2)).await;
    let url = &again.succeeded().data()["avatar_url"];
    assert_eq!(first.fetch(url).await.status(), StatusCode::OK);
    let logout = second
        .post("/user/logout")
        .with_session(&session)
        .submit()
        .await;
    logout.succeeded();
    let refused = first
        .get("/user/info")
        .with_session(&session)
        .submit()
        .await;
    refused.refused("token_invalid");
}

#[tokio::test]
async fn nodes_make_different_identifiers_within_the_same_millisecond() {
    let Some((first, second)) = two_nodes().await else {
        return;
    };
    // Both test clocks show the same time, so the identifiers differ only by node number.
    let one = first.register("one").await;
    let other = second.register("other").await;
    assert_eq!(id(one.succeeded()) >> 22, id(other.succeeded()) >> 22);
    assert_ne!(node_of(&one), node_of(&other));
}

#[tokio::test]
async fn a_new_node_gets_the_number_of_a_stopped_one() {
    let Some((mut first, second)) = two_nodes().await else {
        return;
    };
    let url = first.app.config.database.url.clone();
    let before = node_of(first.register("before").await.succeeded());
    first.stop().await;
    let third = Service::start_with(|config| config.database.url = url).await;
    third.advance(Duration::from_millis(1));
    let after = node_of(third.register("after").await.succeeded());
    assert_eq!(after, before);
    assert_ne!(after, node_of(second.register("other").await.succeeded()));
}

#[tokio::test]
async fn a_name_registered_on_two_nodes_at_once_is_given_once() {
    let Some((first, second)) = two_nodes().await else {
        return;
    };
    let (one, other) = tokio::join!(first.register("popular"), second.register("Popular"));
    let taken = [one, other]
        .iter()
        .filter(|response| response.body["base"]["reason"] == "username_taken")
        .count();
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn connections_closed_by_the_server_are_reopened() {
    use secrecy::ExposeSecret;
    let Some((first, _second)) = two_nodes().await else {
        return;
    };
    let session = first.user("someone").await;
    let url = first.app.config.database.url.clone().unwrap();
    database::end_connections(url.expose_secret()).await;
    let removed = first
        .request(Method::DELETE, "/user/avatar")
        .with_session(&session)
        .submit()
        .await;
    removed.succeeded();
    first
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
}

#[tokio::test]
async fn a_transaction_rolled_back_for_a_deadlock_is_retried() {
    let Some((service, _second)) = two_nodes().await else {
        return;
    };
    let session = service.user("someone").await;
    let upload = service.upload(&session, picture::numbered(1)).await;
    let user = id(upload.succeeded());
    let other = database::ConflictingTransaction::begin(&service.database_url()).await;
    // The other transaction locks the picture's row. The removal locks the user's row and then
    // waits for the picture's.
    other
        .run(&format!(
            "UPDATE pictures SET due_at = due_at - 1 WHERE user_id = {user}"
        ))
        .await;
    let removal = service
        .request(Method::DELETE, "/user/avatar")
        .with_session(&session)
        .submit();
    let conflict = async {
        other.wait_for_blocked().await;
        // Now each waits for the other. The update below can only succeed if the removal is rolled
        // back.
        other
            .run(&format!(
                "UPDATE users SET updated_at = updated_at WHERE id = {user}"
            ))
            .await;
        other.commit().await;
    };
    let (removed, ()) = tokio::join!(removal, conflict);
    removed.succeeded();
    let (now, before) = (service.info(&session).await, upload.data());
    assert_ne!(now["avatar_url"], before["avatar_url"]);
}

/// A database in a file, with a direct connection to its tables.
async fn embedded() -> (tempfile::TempDir, Database, sea_orm::DatabaseConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("veraicon.db");
    let url = format!("sqlite://{}", path.display());
    let database = Database::open(&DatabaseLocation::File(path)).await.unwrap();
    let tables = sea_orm::Database::connect(url).await.unwrap();
    (folder, database, tables)
}

#[tokio::test]
async fn a_lost_number_is_replaced_in_every_handle_to_the_lease() {
    let (_folder, database, tables) = embedded().await;
    let (lease, node) = NodeLease::acquire(database.clone()).await.unwrap();
    assert_eq!(node.number, 0);
    // A command keeps one handle while another one renews the lease in the background.
    let handle = lease.clone();
    let taken_over = "UPDATE leases SET holder = 'another node' WHERE name = 'node-0'";
    tables.execute_unprepared(taken_over).await.unwrap();
    let renewed = lease.renew().await.unwrap().unwrap();
    assert_eq!(renewed.number, 1);
    assert!(handle.others_active().await.unwrap());

    let ended = "DELETE FROM leases WHERE name = 'node-0'";
    tables.execute_unprepared(ended).await.unwrap();
    // The number in force is the process's own.
    assert!(!handle.others_active().await.unwrap());
    let (observer, node) = NodeLease::acquire(database).await.unwrap();
    assert_eq!(node.number, 0);
    assert!(observer.others_active().await.unwrap());
    handle.release().await;
    assert!(!observer.others_active().await.unwrap());
    // A renewal that comes after the release does not take a number again.
    assert!(lease.renew().await.unwrap().is_none());
    assert!(!observer.others_active().await.unwrap());
}
