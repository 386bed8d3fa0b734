//! Nodes as processes of their own, which can be killed, and clients that note what they were told meanwhile.

use std::{
    collections::HashMap,
    net::TcpListener,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode, header::RETRY_AFTER, multipart};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};
use veraicon::config::{self, Config, Overrides};

use crate::{
    object_store, picture,
    service::{PASSWORD, file},
};

/// How many different pictures a client sends, one after the other.
const PICTURES: u8 = 20;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// A test that waits for longer than this has failed.
const STANDSTILL: Duration = Duration::from_secs(180);
/// The pause of a client whose request was not answered at all.
const PAUSE: Duration = Duration::from_millis(20);

/// The settings of nodes, as variables of their environment.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// Nodes with the same settings, each on a port that stays.
pub(crate) struct Fleet {
    pub(crate) folder: TempDir,
    pub(crate) ports: Vec<u16>,
    settings: Settings,
    children: Vec<Option<Child>>,
}

/// Users of whom each sends one picture after the other.
pub(crate) struct Load {
    client: Client,
    names: Vec<String>,
    stop: Arc<AtomicBool>,
    counts: watch::Receiver<Counts>,
    told: Arc<Mutex<HashMap<String, Told>>>,
    clients: Vec<JoinHandle<()>>,
}

/// How many uploads had which end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: u32,
    /// Answered with 503.
    pub(crate) refused: u32,
    /// Not answered, or by a balancer.
    pub(crate) lost: u32,
}

/// What a user was told.
#[derive(Default)]
struct Told {
    /// The URL of the last picture that was acknowledged.
    acknowledged: Option<String>,
    /// Whether pictures were sent since then; each may have become the user's picture, or not.
    unknown: bool,
}

/// Settings that a test's nodes have: quick passwords, no limits on how often, and no grace to speak of.
pub(crate) fn settings() -> Settings {
    vec![
        ("VERAICON_ACCOUNTS__BCRYPT_COST", "4".to_owned()),
        ("VERAICON_LIMITS__ENABLED", "false".to_owned()),
        ("VERAICON_STORAGE__GRACE", "1s".to_owned()),
    ]
}

/// Settings of nodes that share a database and a store.
pub(crate) fn shared(database: String, store: String) -> Settings {
    let key = "a key that is only for tests, and long enough";
    let mut settings = settings();
    settings.extend([
        ("VERAICON_DATABASE__URL", database),
        ("VERAICON_TOKENS__KEY", key.to_owned()),
        ("VERAICON_STORAGE__URL", store),
        (
            "VERAICON_STORAGE__ACCESS_KEY",
            object_store::ACCESS_KEY.to_owned(),
        ),
        (
            "VERAICON_STORAGE__SECRET_KEY",
            object_store::SECRET_KEY.to_owned(),
        ),
    ]);
    settings
}

/// Ports that nothing listens on.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let bound: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    bound.iter().map(port).collect()
}

pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Fleet {
    /// Nodes that are not started yet. `folder` is where each has a folder of its own.
    pub(crate) fn new(folder: TempDir, settings: Settings, ports: Vec<u16>) -> Self {
        Self {
            folder,
            settings,
            children: ports.iter().map(|_| None).collect(),
            ports,
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.ports.iter().copied().map(url).collect()
    }

    fn command(&self, node: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veraicon"));
        command
            .arg("--data-dir")
            .arg(self.data_dir(node))
            .env_clear()
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn data_dir(&self, node: usize) -> String {
        let path = self.folder.path().join(format!("data{node}"));
        path.display().to_string()
    }

    /// The same settings for this process, as those of the first node.
    pub(crate) fn config(&self) -> Config {
        let overrides = Overrides {
            values: vec![("data_dir".to_owned(), self.data_dir(0))],
            ..Overrides::default()
        };
        let environment = self.settings.iter();
        let environment = environment.map(|(name, value)| ((*name).to_owned(), value.clone()));
        config::load(&overrides, environment).unwrap()
    }

    pub(crate) async fn start(&mut self, node: usize) {
        let mut child = self
            .command(node)
            .args(["--listen", &format!("127.0.0.1:{}", self.ports[node])])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let line = BufReader::new(stdout).lines().next_line().await.unwrap();
        assert!(line.unwrap().starts_with("veraicon listens"));
        self.children[node] = Some(child);
    }

    pub(crate) async fn start_all(&mut self) {
        for node in 0..self.ports.len() {
            self.start(node).await;
        }
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self, node: usize) {
        self.children[node].take().unwrap().kill().await.unwrap();
    }

    /// Asks all nodes to end, and waits until they have done so well.
    pub(crate) async fn stop_all(&mut self) {
        for child in &mut self.children {
            let mut child = child.take().unwrap();
            signal("TERM", &child.id().unwrap().to_string()).await;
            assert!(child.wait().await.unwrap().success());
        }
    }

    /// What a command of the first node prints, and whether it succeeds.
    pub(crate) async fn print(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(0).args(arguments).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), text)
    }
}

/// Sends a signal to a process.
pub(crate) async fn signal(name: &str, process: &str) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).arg(process);
    assert!(
        kill.status().await.unwrap().success(),
        "{name} to {process}"
    );
}

impl Load {
    /// Registers so many users, and lets each send one picture after the other, to another URL each time.
    pub(crate) async fn start(urls: Vec<String>, users: usize) -> Self {
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        let names: Vec<_> = (0..users).map(|number| format!("user{number}")).collect();
        for name in &names {
            let form = json!({ "username": name, "password": PASSWORD });
            let register = client
                .post(format!("{}/user/register", urls[0]))
                .json(&form);
            assert!(register.send().await.unwrap().status().is_success());
        }
        let (counting, counts) = watch::channel(Counts::default());
        let mut load = Self {
            client,
            names,
            stop: Arc::default(),
            counts,
            told: Arc::default(),
            clients: Vec::new(),
        };
        let (counting, urls) = (Arc::new(counting), Arc::new(urls));
        for (number, name) in load.names.iter().enumerate() {
            let user = User {
                client: load.client.clone(),
                name: name.clone(),
                urls: Arc::clone(&urls),
                stop: Arc::clone(&load.stop),
                counting: Arc::clone(&counting),
                told: Arc::clone(&load.told),
            };
            load.clients.push(tokio::spawn(user.run(number)));
        }
        load
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until so many more uploads have been acknowledged.
    pub(crate) async fn acknowledged(&self, more: u32) {
        self.more(more, |counts| counts.acknowledged).await;
    }

    /// Waits until so many more uploads have been refused.
    pub(crate) async fn refused(&self, more: u32) {
        self.more(more, |counts| counts.refused).await;
    }

    async fn more(&self, more: u32, count: impl Fn(&Counts) -> u32) {
        let enough = count(&self.counts()) + more;
        let mut counts = self.counts.clone();
        let reached = counts.wait_for(|counts| count(counts) >= enough);
        let reached = tokio::time::timeout(STANDSTILL, reached).await;
        assert!(reached.is_ok(), "nothing goes on: {:?}", self.counts());
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.await.unwrap();
        }
    }

    /// Holds that every user has the picture that was acknowledged last, and that all of its sizes are served and whole.
    /// Returns the keys of what is stored of them, in order.
    pub(crate) async fn check(&self, node: &str) -> Vec<String> {
        let mut objects = Vec::new();
        for name in &self.names {
            let token = login(&self.client, node, name).await.unwrap();
            let info = self.client.get(format!("{node}/user/info"));
            let info = info.header("Access-Token", token).send().await.unwrap();
            let info: Value = info.json().await.unwrap();
            let urls = info["data"]["avatar_urls"].as_object().unwrap();
            assert_eq!(urls.len(), 4);
            for url in urls.values() {
                let url = url.as_str().unwrap();
                let picture = self.client.get(url).send().await.unwrap();
                assert!(picture.status().is_success(), "{name}: {url}");
                picture::decode(&picture.bytes().await.unwrap());
                let (_, key) = url.split_once("/avatars/").unwrap();
                // Who was never acknowledged one has a picture that is not stored.
                if !key.contains("/default-") {
                    objects.push(format!("avatars/{key}"));
                }
            }
            let told = &self.told.lock().unwrap()[name];
            let now = info["data"]["avatar_url"].as_str().map(str::to_owned);
            assert!(
                told.unknown || told.acknowledged == now,
                "{name} was told {:?} and has {now:?}",
                told.acknowledged
            );
        }
        objects.sort_unstable();
        objects
    }
}

/// One user who uploads.
struct User {
    client: Client,
    name: String,
    urls: Arc<Vec<String>>,
    stop: Arc<AtomicBool>,
    counting: Arc<watch::Sender<Counts>>,
    told: Arc<Mutex<HashMap<String, Told>>>,
}

impl User {
    async fn run(self, mut turn: usize) {
        let (mut seed, mut token) = (0, None);
        while !self.stop.load(Ordering::Relaxed) {
            turn += 1;
            let url = &self.urls[turn % self.urls.len()];
            if token.is_none() {
                token = login(&self.client, url, &self.name).await;
            }
            let Some(token) = &token else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            seed = (seed + 1) % PICTURES;
            self.tell(|told| told.unknown = true);
            let form = multipart::Form::new().part("data", file(picture::numbered(seed)));
            let upload = self.client.put(format!("{url}/user/avatar/upload"));
            let upload = upload.header("Access-Token", token).multipart(form);
            let pause = match upload.send().await {
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    self.counting.send_modify(|counts| counts.refused += 1);
                    let seconds = answer.headers().get(RETRY_AFTER);
                    let seconds = seconds.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
                    seconds.map_or(PAUSE, Duration::from_secs)
                }
                Ok(answer) => {
                    let answer: Value = answer.json().await.unwrap_or_default();
                    match answer["data"]["avatar_url"].as_str() {
                        Some(picture) => self.note(picture),
                        None => self.lost(),
                    }
                }
                Err(_) => self.lost(),
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut all = self.told.lock().unwrap();
        change(all.entry(self.name.clone()).or_default());
    }

    fn note(&self, picture: &str) -> Duration {
        self.tell(|told| {
            told.acknowledged = Some(picture.to_owned());
            told.unknown = false;
        });
        self.counting.send_modify(|counts| counts.acknowledged += 1);
        Duration::ZERO
    }

    fn lost(&self) -> Duration {
        self.counting.send_modify(|counts| counts.lost += 1);
        PAUSE
    }
}

async fn login(client: &Client, url: &str, name: &str) -> Option<String> {
    let form = json!({ "username": name, "password": PASSWORD });
    let login = client.post(format!("{url}/user/login")).json(&form);
    let answer = login.send().await.ok()?;
    let token = answer.headers().get("access-token")?;
    Some(token.to_str().ok()?.to_owned())
}
