//! Three nodes behind nginx with clustered databases and object stores, parts of which are killed
//! under load. `scripts/scale` starts the servers that these tests need.

use std::{env, fs, io::Write, path::PathBuf, time::Duration};

use tokio::process::{Child, Command};
use veraicon::{
    app::CommandContext, clock::Clock, digest::Digest, maintenance::Log, storage::PictureKey,
    storage::Storage,
};
use veraicon_picture::OutputFormat;

use crate::{
    balancer::{self, Ports, Servers},
    database,
    fleet::{self, Fleet, Load, signal},
    object_store, service,
};

/// Number of users who upload in parallel.
const USERS: usize = 300;
/// Number of uploads that must be acknowledged after each failure, before the next one is caused.
const UPLOADS_PER_STEP: u32 = 200;
/// Longer than the longest possible upload.
const AFTER_UPLOADS: Duration = Duration::from_secs(60 * 60);

/// The folder in which a script writes the ports and process ids of the servers that it started.
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

/// Stores objects that no row references.
async fn store_orphans(storage: &Storage, user: i64) {
    for digit in "0123456789abcdef".chars() {
        let digest = Digest::parse(&digit.to_string().repeat(64)).unwrap();
        let key = PictureKey::new(user, digest);
        let objects = [512, 64].map(|size| (size, "orphan".into()));
        storage
            .put(&key, OutputFormat::WebP, &objects)
            .await
            .unwrap();
    }
}

/// Stops the nodes, then checks that every live picture is intact and that garbage collection
/// removes all other objects.
async fn assert_only_live_objects_remain(nodes: &mut Fleet, live: &[String]) {
    nodes.stop_all().await;
    let (clean, output) = nodes.print(&["fsck"]).await;
    assert!(clean, "{output}");
    // The store may apply a write late. The row of such a write is kept until the upload's time is
    // over.
    let later = Clock::manual(Clock::System.now());
    later.advance(AFTER_UPLOADS);
    let tools = CommandContext::open(nodes.config(), later, service::program())
        .await
        .unwrap();
    let storage = &tools.storage;
    store_orphans(storage, 7).await;
    let before = object_store::keys(storage).await;
    let collected = tools.maintenance.gc(true, &Log).await.unwrap();
    assert_eq!(object_store::keys(storage).await, live);
    println!(
        "{} objects, {} in use: {collected:?}",
        before.len(),
        live.len()
    );
    tools.close().await;
    let (clean, output) = nodes.print(&["fsck"]).await;
    assert!(clean, "{output}");
}

/// Three nodes behind nginx.
struct BalancedNodes {
    nodes: Fleet,
    url: String,
    _nginx: Child,
}

impl BalancedNodes {
    /// Starts nginx and the nodes. `server` is the URL of the first database server. If `gateways`
    /// is empty, the nodes store pictures in a folder instead of a bucket.
    async fn start(server: &str, databases: Vec<u16>, gateways: Vec<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = fleet::free_ports(6);
        let (ports, nodes) = free.split_at(3);
        let ports = Ports {
            nodes: ports[0],
            database: ports[1],
            store: ports[2],
        };
        let store = if gateways.is_empty() {
            format!("fs://{}", folder.path().join("objects").display())
        } else {
            let gateway = fleet::url(ports.store);
            format!("s3://pictures/scale?endpoint={gateway}")
        };
        let servers = Servers {
            nodes: nodes.to_vec(),
            databases,
            gateways,
        };
        let nginx = balancer::start(folder.path(), &servers, ports).await;
        // The nodes connect to the database through nginx.
        let mut database = url::Url::parse(&database::create_on(server).await).unwrap();
        database.set_port(Some(ports.database)).unwrap();
        let mut settings = fleet::shared(database.into(), store);
        let url = fleet::url(ports.nodes);
        settings.extend([
            ("VERAICON_SERVER__PUBLIC_URL", url.clone()),
            ("VERAICON_SERVER__TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("VERAICON_PICTURES__QUEUE", USERS.to_string()),
            ("VERAICON_STORAGE__TIMEOUT", "3s".to_owned()),
        ]);
        let mut nodes = Fleet::new(folder, settings, servers.nodes);
        nodes.start_all().await;
        Self {
            nodes,
            url,
            _nginx: nginx,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs clusters: scripts/scale"]
async fn acknowledged_uploads_survive_failures_of_nodes_databases_and_disks() {
    let (databases, disks) = (Cluster::of("TEST_GALERA"), Cluster::of("TEST_CEPH"));
    let server = env::var(database::SERVER).unwrap();
    let database = |server| databases.port(&format!("{server}/port"));
    let gateway = |number| disks.port(&format!("gateway.{number}.port"));
    let (database_ports, gateways) = ([0, 1, 2].map(database), [0, 1].map(gateway));
    let balanced = BalancedNodes::start(&server, database_ports.into(), gateways.into()).await;
    let BalancedNodes {
        mut nodes,
        url,
        _nginx,
    } = balanced;
    let mut load = Load::start(vec![url.clone()], USERS).await;
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    let step = |what: &str| println!("{what}: {:?}", load.counts());

    nodes.kill(1).await;
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    step("node killed");
    nodes.start(1).await;

    databases.signal("KILL", "0/pid").await;
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    step("primary database server killed");

    disks.signal("KILL", "osd.2.pid").await;
    disks.signal("KILL", "gateway.1.pid").await;
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    step("disk and gateway killed");

    // With one disk of three left, the store accepts requests but never responds.
    disks.signal("STOP", "osd.1.pid").await;
    load.wait_refused(UPLOADS_PER_STEP).await;
    step("store stopped responding");
    disks.signal("CONT", "osd.1.pid").await;
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    step("store responds again");

    load.stop().await;
    let live = load.check(&url).await;
    assert_only_live_objects_remain(&mut nodes, &live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a pair of database servers: scripts/scale"]
async fn acknowledged_uploads_survive_a_database_failover() {
    let pair = Cluster::of("TEST_POSTGRES_PAIR");
    let [first, second] = [0, 1].map(|server| pair.port(&format!("{server}/port")));
    let server = format!("postgres://veraicon@127.0.0.1:{first}");
    let BalancedNodes {
        mut nodes,
        url,
        _nginx,
    } = BalancedNodes::start(&server, vec![first, second], vec![]).await;
    let mut load = Load::start(vec![url.clone()], USERS).await;
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    pair.signal("KILL", "0/pid").await;
    // nginx now connects to the second server, which is read-only until it is promoted.
    load.wait_refused(UPLOADS_PER_STEP).await;
    println!("first server killed: {:?}", load.counts());
    let promoted = Command::new(pair.0.join("promote")).status().await;
    assert!(promoted.unwrap().success());
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    println!("second server promoted: {:?}", load.counts());
    load.stop().await;
    let live = load.check(&url).await;
    assert_only_live_objects_remain(&mut nodes, &live).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "mounts a small disk, as root: scripts/scale"]
async fn acknowledged_uploads_survive_a_full_disk() {
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
        load.wait_acknowledged(UPLOADS_PER_STEP).await;
        disk.fill();
        load.wait_refused(UPLOADS_PER_STEP).await;
        // The node is killed while the disk is full.
        nodes.kill(0).await;
        disk.free_space();
        nodes.start(0).await;
    }
    load.wait_acknowledged(UPLOADS_PER_STEP).await;
    load.stop().await;
    println!("{:?}", load.counts());
    let live = load.check(&url).await;
    assert_only_live_objects_remain(&mut nodes, &live).await;
}

/// A small disk (64 MiB in memory).
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

    /// Fills all free space.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).unwrap();
        let block = vec![1; 1 << 12];
        while ballast.write_all(&block).is_ok() {}
    }

    fn free_space(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A lazy unmount succeeds even if a node still has files open.
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}
