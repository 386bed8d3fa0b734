//! Nodes that run as separate processes and can be killed, and clients that upload to them and
//! check that no acknowledged picture is lost.

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

/// Number of different pictures that a client uploads in turn.
const PICTURES: u8 = 20;
/// Time that a client waits for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time without progress after which a test fails.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(180);
/// Delay before a client retries a request that got no response.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// Settings of the nodes, as environment variables.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// Nodes with the same settings. Each node keeps its port when it is restarted.
pub(crate) struct Fleet {
    pub(crate) folder: TempDir,
    pub(crate) ports: Vec<u16>,
    settings: Settings,
    children: Vec<Option<Child>>,
}

/// Clients that upload in parallel. Each client is one user who uploads one picture after the
/// other.
pub(crate) struct Load {
    client: Client,
    names: Vec<String>,
    stop: Arc<AtomicBool>,
    counts: watch::Receiver<Counts>,
    expected: Arc<Mutex<HashMap<String, Expected>>>,
    clients: Vec<JoinHandle<()>>,
}

/// Number of uploads by result.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged: u32,
    /// Uploads that got a 503 response.
    pub(crate) refused: u32,
    /// Uploads without a response, or with an error response from the load balancer.
    pub(crate) lost: u32,
    /// Number of successful checks after a refused or lost upload: the user still had the
    /// acknowledged picture, or a later one.
    pub(crate) verified: u32,
}

/// Pictures that a user may have now, identified by the content digest in their URLs.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// The last picture whose upload was acknowledged.
    acknowledged: Option<String>,
    /// Pictures that were uploaded since then without acknowledgement. Each of them may have been
    /// stored.
    sent: Vec<String>,
}

impl Expected {
    /// Returns true if no acknowledged picture is lost when the user has this picture now. `None`
    /// is the default picture.
    fn matches(&self, picture: Option<&str>) -> bool {
        self.acknowledged.as_deref() == picture
            || self.sent.iter().any(|sent| Some(sent.as_str()) == picture)
    }
}

/// Returns the content digest in a picture's URL, or `None` for a default picture.
fn content(url: &str) -> Option<&str> {
    let (_, key) = url.split_once("/avatars/")?;
    let content = key.split('/').nth(1)?;
    (!key.contains("/default-")).then_some(content)
}

/// Settings of a single test node: fast password hashes, no rate limits, and a short grace period
/// for replaced pictures.
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

/// Returns free TCP ports.
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
    /// Creates nodes without starting them. Each node gets its own data folder inside `folder`.
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

    /// Loads the first node's settings into this process.
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

    /// Kills a node with SIGKILL.
    pub(crate) async fn kill(&mut self, node: usize) {
        self.children[node].take().unwrap().kill().await.unwrap();
    }

    /// Stops all nodes with SIGTERM, and checks that they exit successfully.
    pub(crate) async fn stop_all(&mut self) {
        for child in &mut self.children {
            let mut child = child.take().unwrap();
            signal("TERM", &child.id().unwrap().to_string()).await;
            assert!(child.wait().await.unwrap().success());
        }
    }

    /// Runs a command with the first node's settings. Returns whether it succeeded, and its output.
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
    /// Registers `users` users and starts their uploads. Each user uses the URLs in turn.
    pub(crate) async fn start(urls: Vec<String>, users: usize) -> Self {
        let client = Client::builder().timeout(RESPONSE_TIMEOUT).build().unwrap();
        let names: Vec<_> = (0..users).map(|number| format!("user{number}")).collect();
        for name in &names {
            let form = json!({ "username": name, "password": PASSWORD });
            let register = client
                .post(format!("{}/user/register", urls[0]))
                .json(&form);
            assert!(register.send().await.unwrap().status().is_success());
        }
        let contents = Arc::new(contents(&client, &urls[0], &names[0]).await);
        let (counts_sender, counts) = watch::channel(Counts::default());
        let mut load = Self {
            client,
            names,
            stop: Arc::default(),
            counts,
            expected: Arc::default(),
            clients: Vec::new(),
        };
        let (counts_sender, urls) = (Arc::new(counts_sender), Arc::new(urls));
        for (number, name) in load.names.iter().enumerate() {
            let user = User {
                client: load.client.clone(),
                name: name.clone(),
                urls: Arc::clone(&urls),
                stop: Arc::clone(&load.stop),
                counts: Arc::clone(&counts_sender),
                contents: Arc::clone(&contents),
                expected: Arc::clone(&load.expected),
            };
            load.clients.push(tokio::spawn(user.run(number)));
        }
        load
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Waits until `more` further uploads are acknowledged.
    pub(crate) async fn wait_acknowledged(&self, more: u32) {
        self.wait_for(more, |counts| counts.acknowledged).await;
    }

    /// Waits until `more` further uploads are refused.
    pub(crate) async fn wait_refused(&self, more: u32) {
        self.wait_for(more, |counts| counts.refused).await;
    }

    async fn wait_for(&self, more: u32, count: impl Fn(&Counts) -> u32) {
        let target = count(&self.counts()) + more;
        let mut counts = self.counts.clone();
        let reached = counts.wait_for(|counts| count(counts) >= target);
        let reached = tokio::time::timeout(PROGRESS_TIMEOUT, reached).await;
        assert!(reached.is_ok(), "no progress: {:?}", self.counts());
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.await.unwrap();
        }
    }

    /// Checks that every user has the last acknowledged picture, and that all its sizes are served
    /// and can be decoded. Returns the sorted object keys of these pictures.
    pub(crate) async fn check(&self, node: &str) -> Vec<String> {
        assert!(
            self.counts().verified > 0,
            "no check ran after a refused or lost upload"
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
                // A user without an acknowledged upload has a default picture, which is not stored.
                if !key.contains("/default-") {
                    objects.push(format!("avatars/{key}"));
                }
            }
            let expected = &self.expected.lock().unwrap()[name];
            let now = content(info["data"]["avatar_url"].as_str().unwrap());
            assert!(
                expected.matches(now),
                "{name} has {now:?}, expected {expected:?}"
            );
        }
        objects.sort_unstable();
        objects
    }
}

/// Uploads all test pictures as the first user, and returns their content digests in order.
async fn contents(client: &Client, url: &str, name: &str) -> Vec<String> {
    let token = login(client, url, name).await.unwrap();
    let mut contents = Vec::new();
    for seed in 0..PICTURES {
        let response: Value = upload(client, url, &token, seed)
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let picture = response["data"]["avatar_url"].as_str().unwrap();
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

/// A user who uploads one picture after the other.
struct User {
    client: Client,
    name: String,
    urls: Arc<Vec<String>>,
    stop: Arc<AtomicBool>,
    counts: Arc<watch::Sender<Counts>>,
    contents: Arc<Vec<String>>,
    expected: Arc<Mutex<HashMap<String, Expected>>>,
}

impl User {
    async fn run(self, mut request: usize) {
        let (mut seed, mut token) = (0, None);
        self.update(|expected| {
            if request == 0 {
                // `contents` has already uploaded all pictures as the first user.
                expected.sent.clone_from(&self.contents);
            }
        });
        while !self.stop.load(Ordering::Relaxed) {
            request += 1;
            let url = &self.urls[request % self.urls.len()];
            if token.is_none() {
                token = login(&self.client, url, &self.name).await;
            }
            let Some(known) = &token else {
                tokio::time::sleep(RETRY_DELAY).await;
                continue;
            };
            seed = (seed + 1) % PICTURES;
            let content = &self.contents[usize::from(seed)];
            self.update(|expected| expected.sent.push(content.clone()));
            let pause = match upload(&self.client, url, known, seed).await {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    self.count(|counts| counts.refused += 1);
                    let seconds = response.headers().get(RETRY_AFTER);
                    let seconds = seconds.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
                    seconds.map_or(RETRY_DELAY, Duration::from_secs)
                }
                Ok(response) => {
                    let response: Value = response.json().await.unwrap_or_default();
                    if response["base"]["reason"] == "token_invalid" {
                        token = None;
                    }
                    match response["data"]["avatar_url"].as_str() {
                        Some(picture) => self.acknowledge(picture),
                        None => self.count_lost(),
                    }
                }
                Err(_) => self.count_lost(),
            };
            tokio::time::sleep(pause).await;
            if let Some(token) = &token {
                let verified = tokio::time::timeout(PROGRESS_TIMEOUT, self.verify(token, request));
                assert!(
                    verified.await.is_ok(),
                    "no node returns the picture of {}",
                    self.name
                );
            }
        }
    }

    /// Checks the user's current picture if an upload is unacknowledged. Tries the nodes in turn
    /// until one responds.
    async fn verify(&self, token: &str, request: usize) {
        let expected = self.expected.lock().unwrap()[&self.name].clone();
        if expected.sent.is_empty() {
            return;
        }
        for node in request.. {
            let info = self.urls[node % self.urls.len()].clone() + "/user/info";
            let info = self.client.get(info).header("Access-Token", token);
            let response = match info.send().await {
                Ok(response) => response.json::<Value>().await.unwrap_or_default(),
                Err(_) => Value::Null,
            };
            if let Some(picture) = response["data"]["avatar_url"].as_str() {
                let now = content(picture);
                assert!(
                    expected.matches(now),
                    "{} has {now:?}, expected {expected:?}",
                    self.name
                );
                self.count(|counts| counts.verified += u32::from(expected.acknowledged.is_some()));
                return;
            }
            if response["base"]["reason"] == "token_invalid" {
                return;
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    fn update(&self, change: impl FnOnce(&mut Expected)) {
        let mut expected = self.expected.lock().unwrap();
        change(expected.entry(self.name.clone()).or_default());
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }

    fn acknowledge(&self, picture: &str) -> Duration {
        let content = content(picture).unwrap().to_owned();
        self.update(|expected| {
            expected.acknowledged = Some(content);
            expected.sent.clear();
        });
        self.count(|counts| counts.acknowledged += 1);
        Duration::ZERO
    }

    fn count_lost(&self) -> Duration {
        self.count(|counts| counts.lost += 1);
        RETRY_DELAY
    }
}

async fn login(client: &Client, url: &str, name: &str) -> Option<String> {
    let form = json!({ "username": name, "password": PASSWORD });
    let login = client.post(format!("{url}/user/login")).json(&form);
    let response = login.send().await.ok()?;
    let token = response.headers().get("access-token")?;
    Some(token.to_str().ok()?.to_owned())
}
