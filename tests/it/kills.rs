//! Uploads while the service is killed again and again: what was acknowledged is there, and nothing is left behind.

use crate::{
    database,
    fleet::{self, Fleet, Load},
    object_store,
};

/// How often the service is killed; `KILLS` in the environment says otherwise.
const KILLS: u32 = 200;
const CLIENTS: usize = 4;

/// One node on its own folder, or three that share a database server and a store.
async fn nodes() -> Fleet {
    let folder = tempfile::tempdir().unwrap();
    let (mut settings, count) = match database::create().await {
        Some(database) => {
            let objects = format!("fs://{}", folder.path().join("objects").display());
            let store = object_store::create().unwrap_or(objects);
            let mut settings = fleet::shared(database, store);
            settings.push(("VERAICON_DATABASE__CONNECTIONS", "6".to_owned()));
            (settings, 3)
        }
        None => (fleet::settings(), 1),
    };
    let ports = fleet::free_ports(count);
    settings.push(("VERAICON_SERVER__PUBLIC_URL", fleet::url(ports[0])));
    Fleet::new(folder, settings, ports)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_every_kill() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut nodes = nodes().await;
    nodes.start_all().await;
    let urls = nodes.urls();
    let count = urls.len();
    let mut load = Load::start(urls.clone(), CLIENTS).await;
    for kill in 1..=kills {
        // Some uploads later, and a moment that nobody chose.
        load.acknowledged(1 + kill % 7).await;
        let node = kill as usize * 7 % count;
        nodes.kill(node).await;
        nodes.start(node).await;
    }
    load.stop().await;
    load.check(&urls[0]).await;
    nodes.stop_all().await;
    let (clean, told) = nodes.print(&["fsck"]).await;
    assert!(clean, "{told}");
    // No kill leaves an object without a row: what an upload left half done is removed when its row's time is over.
    let (clean, told) = nodes.print(&["gc", "--remove"]).await;
    assert!(clean && told.contains("without a row: 0,"), "{told}");
    let (clean, checked) = nodes.print(&["fsck"]).await;
    assert!(clean, "{checked}");
    println!(
        "{kills} kills of {count} nodes: {:?}\n{told}",
        load.counts()
    );
}
