//! Three nodes behind nginx over a cluster of databases and one of disks, parts of which die under load.
//! `scripts/scale` starts what these tests need.

use std::{env, fs, io::Write, path::PathBuf, time::Duration};

use veraicon::{app::Tools, clock::Clock, storage::PictureKey, storage::Storage, upkeep::Log};
use veraicon_picture::OutputFormat;

use crate::{
    balancer::{self, Ports, Servers},
    database,
    fleet::{self, Fleet, Load, signal},
    object_store, service,
};

/// Uploads in flight at any time.
const USERS: usize = 300;
/// Uploads that must be acknowledged after something has died, before the next thing does.
const ENOUGH: u32 = 200;
/// Longer than any upload may take that was begun.
const LATER: Duration = Duration::from_secs(60 * 60);

/// A folder in which a script says more of what it has started.
struct Cluster(PathBuf);

impl Cluster {
    fn of(variable: &str) -> Self {
        let folder = env::var_os(variable);
        assert!(folder.is_some(), "{variable} is not set; see scripts/scale");
        Self(folder.unwrap().into())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file))
            .unwrap()
            .trim()
            .to_owned()
    }

    fn port(&self, file: &str) -> u16 {
        self.read(file).parse().unwrap()
    }

    async fn signal(&self, name: &str, file: &str) {
        signal(name, &self.read(file)).await;
    }
}

/// Leaves objects behind that no row names.
async fn leave_orphans(storage: &Storage, user: i64) {
    for digit in "0123456789abcdef".chars() {
        let key = PictureKey {
            user,
            digest: digit.to_string().repeat(64),
        };
        let objects = [512, 64].map(|size| (size, "left behind".into()));
        storage
            .put(&key, OutputFormat::WebP, &objects)
            .await
            .unwrap();
    }
}

/// Once all is over: what is there is whole, and of what is there nothing is left that no user has.
async fn nothing_is_lost_and_nothing_left(nodes: &mut Fleet, live: &[String]) {
    nodes.stop_all().await;
    let (clean, told) = nodes.print(&["fsck"]).await;
    assert!(clean, "{told}");
    // What a store was asked to keep, and may have kept late, has its row until the time of the upload is over.
    let later = Clock::held(Clock::System.now());
    later.advance(LATER);
    let tools = Tools::open(nodes.config(), later, service::program())
        .await
        .unwrap();
    let storage = &tools.avatars.storage;
    leave_orphans(storage, 7).await;
    let before = object_store::keys(storage).await;
    let collected = tools.avatars.collect(true, &Log).await.unwrap();
    assert_eq!(object_store::keys(storage).await, live);
    println!(
        "{} objects, of which {} in use: {collected:?}",
        before.len(),
        live.len()
    );
    tools.close().await;
    let (clean, told) = nodes.print(&["fsck"]).await;
    assert!(clean, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs clusters: scripts/scale"]
async fn nothing_acknowledged_is_lost_whatever_dies() {
    let (databases, disks) = (Cluster::of("TEST_GALERA"), Cluster::of("TEST_CEPH"));
    let folder = tempfile::tempdir().unwrap();
    let free = fleet::free_ports(6);
    let (ports, nodes) = free.split_at(3);
    let ports = Ports {
        nodes: ports[0],
        database: ports[1],
        store: ports[2],
    };
    let servers = Servers {
        nodes: nodes.to_vec(),
        databases: (0..3)
            .map(|node| databases.port(&format!("{node}/port")))
            .collect(),
        gateways: (0..2)
            .map(|node| disks.port(&format!("gateway.{node}.port")))
            .collect(),
    };
    let _nginx = balancer::start(folder.path(), &servers, ports).await;
    let database = database::create().await.unwrap();
    let (_, name) = database.rsplit_once('/').unwrap();
    let database = format!("mysql://veraicon@127.0.0.1:{}/{name}", ports.database);
    let store = format!("s3://pictures/scale?endpoint={}", fleet::url(ports.store));
    let mut settings = fleet::shared(database, store);
    let url = fleet::url(ports.nodes);
    settings.extend([
        ("VERAICON_SERVER__PUBLIC_URL", url.clone()),
        ("VERAICON_SERVER__TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ("VERAICON_PICTURES__QUEUE", USERS.to_string()),
        ("VERAICON_STORAGE__TIMEOUT", "3s".to_owned()),
    ]);
    let mut nodes = Fleet::new(folder, settings, servers.nodes);
    nodes.start_all().await;
    let mut load = Load::start(vec![url.clone()], USERS).await;
    load.acknowledged(ENOUGH).await;
    let step = |what: &str| println!("{what}: {:?}", load.counts());

    nodes.kill(1).await;
    load.acknowledged(ENOUGH).await;
    step("a node was killed");
    nodes.start(1).await;

    databases.signal("KILL", "0/pid").await;
    load.acknowledged(ENOUGH).await;
    step("the database that is written to was killed");

    disks.signal("KILL", "osd.2.pid").await;
    disks.signal("KILL", "gateway.1.pid").await;
    load.acknowledged(ENOUGH).await;
    step("a disk and a gateway were killed");

    // One disk of three: the store takes requests, and answers none.
    disks.signal("STOP", "osd.1.pid").await;
    load.refused(ENOUGH).await;
    step("the store fell silent");
    disks.signal("CONT", "osd.1.pid").await;
    load.acknowledged(ENOUGH).await;
    step("the store answers again");

    load.stop().await;
    let live = load.check(&url).await;
    nothing_is_lost_and_nothing_left(&mut nodes, &live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts a small disk, as root: scripts/scale"]
async fn nothing_acknowledged_is_lost_when_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::mount(folder.path().join("data0"));
    let mut settings = fleet::settings();
    settings.push(("VERAICON_PICTURES__QUEUE", USERS.to_string()));
    let ports = fleet::free_ports(1);
    let url = fleet::url(ports[0]);
    settings.push(("VERAICON_SERVER__PUBLIC_URL", url.clone()));
    let mut nodes = Fleet::new(folder, settings, ports);
    nodes.start_all().await;
    let mut load = Load::start(vec![url.clone()], USERS).await;
    for _ in 0..5 {
        load.acknowledged(ENOUGH).await;
        disk.fill();
        load.refused(ENOUGH).await;
        // Killed where nothing more can be written.
        nodes.kill(0).await;
        disk.make_room();
        nodes.start(0).await;
    }
    load.acknowledged(ENOUGH).await;
    load.stop().await;
    println!("{:?}", load.counts());
    let live = load.check(&url).await;
    nothing_is_lost_and_nothing_left(&mut nodes, &live).await;
}

/// A disk of little room.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=64m", "veraicon"])
            .arg(&path);
        assert!(mount.status().unwrap().success(), "only root may mount");
        Self(path)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).unwrap();
        let piece = vec![1; 1 << 12];
        while ballast.write_all(&piece).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a node may still be there.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}
