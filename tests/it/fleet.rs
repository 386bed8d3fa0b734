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

use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER, multipart};
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
    /// How often a user to whom a picture had been acknowledged still had it, or what was sent since, after an upload that
    /// was refused or lost.
    pub(crate) held: u32,
}

/// What a user was told, by what the pictures' URLs say of their content.
#[derive(Clone, Debug, Default)]
struct Told {
    /// The last picture that was acknowledged.
    acknowledged: Option<String>,
    /// Pictures that were sent since then; each may have become the user's picture, or not.
    sent: Vec<String>,
}

impl Told {
    /// Whether nothing that was acknowledged is lost, where the user has this picture now; one that is drawn where the
    /// user has none.
    fn allows(&self, picture: Option<&str>) -> bool {
        self.acknowledged.as_deref() == picture
            || self.sent.iter().any(|sent| Some(sent.as_str()) == picture)
    }
}

/// What names the content in a picture's URL; nothing where it is drawn.
fn content(url: &str) -> Option<&str> {
    let (_, key) = url.split_once("/avatars/")?;
    let content = key.split('/').nth(1)?;
    (!key.contains("/default-")).then_some(content)
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
        let contents = Arc::new(contents(&client, &urls[0], &names[0]).await);
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
                contents: Arc::clone(&contents),
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
        assert!(
            self.counts().held > 0,
            "nothing that ended had anything in hand"
        );
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
            let now = content(info["data"]["avatar_url"].as_str().unwrap());
            assert!(told.allows(now), "{name} was told {told:?} and has {now:?}");
        }
        objects.sort_unstable();
        objects
    }
}

/// What names the content of each picture that clients send, in order; the first user uploads all of them.
async fn contents(client: &Client, url: &str, name: &str) -> Vec<String> {
    let token = login(client, url, name).await.unwrap();
    let mut contents = Vec::new();
    for seed in 0..PICTURES {
        let answer: Value = upload(client, url, &token, seed)
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let picture = answer["data"]["avatar_url"].as_str().unwrap();
        contents.push(content(picture).unwrap().to_owned());
    }
    contents
}

async fn upload(
    client: &Client,
    url: &str,
    token: &str,
    seed: u8,
) -> Result<Response, reqwest::Error> {
    let form = multipart::Form::new().part("data", file(picture::numbered(seed)));
    let upload = client.put(format!("{url}/user/avatar/upload"));
    let upload = upload.header("Access-Token", token).multipart(form);
    upload.send().await
}

/// One user who uploads.
struct User {
    client: Client,
    name: String,
    urls: Arc<Vec<String>>,
    stop: Arc<AtomicBool>,
    counting: Arc<watch::Sender<Counts>>,
    contents: Arc<Vec<String>>,
    told: Arc<Mutex<HashMap<String, Told>>>,
}

impl User {
    async fn run(self, mut turn: usize) {
        let (mut seed, mut token) = (0, None);
        self.tell(|told| {
            if turn == 0 {
                // The first user has sent all of them already.
                told.sent.clone_from(&self.contents);
            }
        });
        while !self.stop.load(Ordering::Relaxed) {
            turn += 1;
            let url = &self.urls[turn % self.urls.len()];
            if token.is_none() {
                token = login(&self.client, url, &self.name).await;
            }
            let Some(known) = &token else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            seed = (seed + 1) % PICTURES;
            let content = &self.contents[usize::from(seed)];
            self.tell(|told| told.sent.push(content.clone()));
            let pause = match upload(&self.client, url, known, seed).await {
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    self.count(|counts| counts.refused += 1);
                    let seconds = answer.headers().get(RETRY_AFTER);
                    let seconds = seconds.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
                    seconds.map_or(PAUSE, Duration::from_secs)
                }
                Ok(answer) => {
                    let answer: Value = answer.json().await.unwrap_or_default();
                    if answer["base"]["reason"] == "token_invalid" {
                        token = None;
                    }
                    match answer["data"]["avatar_url"].as_str() {
                        Some(picture) => self.note(picture),
                        None => self.lost(),
                    }
                }
                Err(_) => self.lost(),
            };
            tokio::time::sleep(pause).await;
            if let Some(token) = &token {
                let look = tokio::time::timeout(STANDSTILL, self.look(token, turn));
                assert!(look.await.is_ok(), "no node tells what {} has", self.name);
            }
        }
    }

    /// Looks what this user has, where it is not known for sure, as soon as a node tells.
    async fn look(&self, token: &str, turn: usize) {
        let told = self.told.lock().unwrap()[&self.name].clone();
        if told.sent.is_empty() {
            return;
        }
        for node in turn.. {
            let info = self.urls[node % self.urls.len()].clone() + "/user/info";
            let info = self.client.get(info).header("Access-Token", token);
            let answer = match info.send().await {
                Ok(answer) => answer.json::<Value>().await.unwrap_or_default(),
                Err(_) => Value::Null,
            };
            if let Some(picture) = answer["data"]["avatar_url"].as_str() {
                let now = content(picture);
                assert!(
                    told.allows(now),
                    "{} was told {told:?} and has {now:?}",
                    self.name
                );
                self.count(|counts| counts.held += u32::from(told.acknowledged.is_some()));
                return;
            }
            if answer["base"]["reason"] == "token_invalid" {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        let mut all = self.told.lock().unwrap();
        change(all.entry(self.name.clone()).or_default());
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counting.send_modify(change);
    }

    fn note(&self, picture: &str) -> Duration {
        let content = content(picture).unwrap().to_owned();
        self.tell(|told| {
            told.acknowledged = Some(content);
            told.sent.clear();
        });
        self.count(|counts| counts.acknowledged += 1);
        Duration::ZERO
    }

    fn lost(&self) -> Duration {
        self.count(|counts| counts.lost += 1);
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
