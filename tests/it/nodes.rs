//! Several nodes on one database and one store. The embedded database takes but one node, so that these tests need a server.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use sea_orm::ConnectionTrait;
use veraicon::{
    database::{Database, Location},
    node::NodeLease,
};

use crate::{
    database, picture,
    service::{Answer, Send, Service},
};

fn id(user: &Answer) -> i64 {
    user.data()["id"].as_str().unwrap().parse().unwrap()
}

/// The number of the node that made a user's identifier.
fn node_of(user: &Answer) -> i64 {
    (id(user) >> 12) & 0x3ff
}

/// Two nodes, or nothing where there is no database server to share.
async fn two_nodes() -> Option<(Service, Service)> {
    let first = Service::start().await;
    if first.app.config.database.url.is_none() {
        eprintln!(
            "not run: {} names no database server (scripts/with-postgres and scripts/with-mariadb start one)",
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
async fn what_one_node_does_the_other_knows_at_once() {
    let Some((first, second)) = two_nodes().await else {
        return;
    };
    let session = first.user("someone").await;
    let uploaded = first.upload(&session, picture::numbered(1)).await;
    assert_eq!(&second.info(&session).await, uploaded.succeeded().data());
    let again = second.upload(&session, picture::numbered(2)).await;
    let url = &again.succeeded().data()["avatar_url"];
    assert_eq!(first.fetch(url).await.status(), StatusCode::OK);
    let logout = second.post("/user/logout").with(&session).answer().await;
    logout.succeeded();
    let refused = first.get("/user/info").with(&session).answer().await;
    refused.refused("token_invalid");
}

#[tokio::test]
async fn nodes_make_different_identifiers_within_the_same_millisecond() {
    let Some((first, second)) = two_nodes().await else {
        return;
    };
    // The clocks are held: time tells the identifiers apart no more than it would on two machines.
    let one = first.register("one").await;
    let other = second.register("other").await;
    assert_eq!(id(one.succeeded()) >> 22, id(other.succeeded()) >> 22);
    assert_ne!(node_of(&one), node_of(&other));
}

#[tokio::test]
async fn a_node_that_ended_leaves_its_number_to_the_next() {
    let Some((mut first, second)) = two_nodes().await else {
        return;
    };
    let url = first.app.config.database.url.clone();
    let before = node_of(first.register("before").await.succeeded());
    first.stop().await;
    let third = Service::start_with(|config| config.database.url = url).await;
    third.pass(Duration::from_millis(1));
    let after = node_of(third.register("after").await.succeeded());
    assert_eq!(after, before);
    assert_ne!(after, node_of(second.register("beside").await.succeeded()));
}

#[tokio::test]
async fn one_name_asked_for_on_two_nodes_at_once_is_given_once() {
    let Some((first, second)) = two_nodes().await else {
        return;
    };
    let (one, other) = tokio::join!(first.register("wanted"), second.register("Wanted"));
    let taken = [one, other]
        .iter()
        .filter(|answer| answer.body["base"]["reason"] == "username_taken")
        .count();
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn connections_that_the_server_ended_are_made_anew() {
    use secrecy::ExposeSecret;
    let Some((first, _second)) = two_nodes().await else {
        return;
    };
    let session = first.user("someone").await;
    let url = first.app.config.database.url.clone().unwrap();
    database::end_connections(url.expose_secret()).await;
    let removed = first
        .request(Method::DELETE, "/user/avatar")
        .with(&session)
        .answer()
        .await;
    removed.succeeded();
    first
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
}

#[tokio::test]
async fn what_the_database_rolled_back_for_a_deadlock_is_done_again() {
    let Some((service, _second)) = two_nodes().await else {
        return;
    };
    let session = service.user("someone").await;
    let upload = service.upload(&session, picture::numbered(1)).await;
    let user = id(upload.succeeded());
    let other = database::Rival::begin(&service.database_url()).await;
    // The other transaction has the picture's row; the removal takes the user's row, and waits for that.
    other
        .run(&format!(
            "UPDATE pictures SET due_at = due_at - 1 WHERE user_id = {user}"
        ))
        .await;
    let removal = service
        .request(Method::DELETE, "/user/avatar")
        .with(&session)
        .answer();
    let contest = async {
        other.is_waited_for().await;
        // Now each waits for the other. That this ends well can only mean that the removal was rolled back.
        other
            .run(&format!(
                "UPDATE users SET updated_at = updated_at WHERE id = {user}"
            ))
            .await;
        other.commit().await;
    };
    let (removed, ()) = tokio::join!(removal, contest);
    removed.succeeded();
    let (now, before) = (service.info(&session).await, upload.data());
    assert_ne!(now["avatar_url"], before["avatar_url"]);
}

/// A database in a file, with a direct connection to its tables.
async fn embedded() -> (tempfile::TempDir, Database, sea_orm::DatabaseConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("veraicon.db");
    let url = format!("sqlite://{}", path.display());
    let database = Database::open(&Location::File(path)).await.unwrap();
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
