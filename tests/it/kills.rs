//! Uploads while the nodes are killed repeatedly: acknowledged pictures survive, and no object is
//! left without a row.

use crate::{
    database,
    fleet::{self, Fleet, Load},
    object_store,
};

/// Default number of kills. The environment variable `KILLS` overrides it.
const KILLS: u32 = 200;
const CLIENTS: usize = 4;

/// Returns one node with an embedded database, or three nodes that share a database server and an
/// object store.
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
async fn acknowledged_uploads_survive_every_kill() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut nodes = nodes().await;
    nodes.start_all().await;
    let urls = nodes.urls();
    let count = urls.len();
    let mut load = Load::start(urls.clone(), CLIENTS).await;
    for kill in 1..=kills {
        // The number of uploads before a kill varies, so that kills hit different phases of an
        // upload.
        load.wait_acknowledged(1 + kill % 7).await;
        let node = kill as usize * 7 % count;
        nodes.kill(node).await;
        nodes.start(node).await;
    }
    load.stop().await;
    load.check(&urls[0]).await;
    nodes.stop_all().await;
    let (clean, output) = nodes.print(&["fsck"]).await;
    assert!(clean, "{output}");
    // Every object of an interrupted upload still has its row, which lets the sweep remove the
    // object later.
    let (clean, collected) = nodes.print(&["gc", "--remove"]).await;
    assert!(
        clean && collected.contains("without a row: 0,"),
        "{collected}"
    );
    let (clean, output) = nodes.print(&["fsck"]).await;
    assert!(clean, "{output}");
    println!(
        "{kills} kills of {count} nodes: {:?}\n{collected}",
        load.counts()
    );
}
