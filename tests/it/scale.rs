//! Three nodes behind nginx over a cluster of databases and one of disks, parts of which die under load.
//! `scripts/scale` starts what these tests need.

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
        let digest = Digest::parse(&digit.to_string().repeat(64)).unwrap();
        let key = PictureKey::new(user, digest);
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
    let tools = CommandContext::open(nodes.config(), later, service::program())
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

/// Three nodes behind nginx.
struct Site {
    nodes: Fleet,
    url: String,
    _nginx: Child,
}

impl Site {
    /// Over databases of a cluster, whose first server is at `server`, and gateways of a bucket or a folder.
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
        // The same database, by way of nginx.
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
async fn nothing_acknowledged_is_lost_whatever_dies() {
    let (databases, disks) = (Cluster::of("TEST_GALERA"), Cluster::of("TEST_CEPH"));
    let server = env::var(database::SERVER).unwrap();
    let database = |server| databases.port(&format!("{server}/port"));
    let gateway = |number| disks.port(&format!("gateway.{number}.port"));
    let (databases_at, gateways) = ([0, 1, 2].map(database), [0, 1].map(gateway));
    let site = Site::start(&server, databases_at.into(), gateways.into()).await;
    let Site {
        mut nodes,
        url,
        _nginx,
    } = site;
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
#[ignore = "needs a pair of database servers: scripts/scale"]
async fn nothing_acknowledged_is_lost_when_another_server_takes_over() {
    let pair = Cluster::of("TEST_POSTGRES_PAIR");
    let [first, second] = [0, 1].map(|server| pair.port(&format!("{server}/port")));
    let server = format!("postgres://veraicon@127.0.0.1:{first}");
    let Site {
        mut nodes,
        url,
        _nginx,
    } = Site::start(&server, vec![first, second], vec![]).await;
    let mut load = Load::start(vec![url.clone()], USERS).await;
    load.acknowledged(ENOUGH).await;
    pair.signal("KILL", "0/pid").await;
    // nginx leads to the second one now, which only reads.
    load.refused(ENOUGH).await;
    println!("the first server was killed: {:?}", load.counts());
    let promoted = Command::new(pair.0.join("promote")).status().await;
    assert!(promoted.unwrap().success());
    load.acknowledged(ENOUGH).await;
    println!("the second one took over: {:?}", load.counts());
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
