//! Uploads while the service is killed again and again: what was acknowledged is there, and nothing is left behind.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, multipart};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{database, object_store, picture, service::file};

/// How often the service is killed; `KILLS` in the environment says otherwise.
const KILLS: u32 = 200;
const CLIENTS: usize = 4;
const PASSWORD: &str = "correct horse 9";

/// How nodes are started: one on its own folder, or three that share a database server and a store.
struct Nodes {
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
    ports: Vec<u16>,
}

impl Nodes {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = vec![
            ("VERAICON_ACCOUNTS__BCRYPT_COST", "4".to_owned()),
            ("VERAICON_LIMITS__ENABLED", "false".to_owned()),
            ("VERAICON_STORAGE__GRACE", "1s".to_owned()),
        ];
        let mut count = 1;
        if let Some(database) = database::create().await {
            count = 3;
            let key = "a key that is only for tests, and long enough";
            settings.push(("VERAICON_DATABASE__URL", database));
            settings.push(("VERAICON_DATABASE__CONNECTIONS", "6".to_owned()));
            settings.push(("VERAICON_TOKENS__KEY", key.to_owned()));
            let objects = format!("fs://{}", folder.path().join("objects").display());
            let store = object_store::create().unwrap_or(objects);
            settings.push(("VERAICON_STORAGE__URL", store));
            settings.push((
                "VERAICON_STORAGE__ACCESS_KEY",
                object_store::ACCESS_KEY.to_owned(),
            ));
            settings.push((
                "VERAICON_STORAGE__SECRET_KEY",
                object_store::SECRET_KEY.to_owned(),
            ));
        }
        let free: Vec<_> = (0..count)
            .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let port = |free: &std::net::TcpListener| free.local_addr().unwrap().port();
        let ports: Vec<_> = free.iter().map(port).collect();
        let url = format!("http://127.0.0.1:{}", ports[0]);
        settings.push(("VERAICON_SERVER__PUBLIC_URL", url));
        Self {
            folder,
            settings,
            ports,
        }
    }

    fn url(&self, node: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[node % self.ports.len()])
    }

    fn command(&self, node: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veraicon"));
        command
            .arg("--data-dir")
            .arg(self.folder.path().join(format!("data{node}")))
            .env_clear()
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// A node in its own process, on a port that stays.
    async fn start(&self, node: usize) -> Child {
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
        child
    }

    /// What a command prints, and whether it succeeds.
    async fn print(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(0).args(arguments).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.success(), text)
    }
}

/// What a client has sent, and what it was told.
#[derive(Default)]
struct Sent {
    /// The URL of the last picture that was acknowledged.
    acknowledged: Option<String>,
    /// The pictures sent since then; each may have become the user's picture, or not.
    unknown: bool,
}

async fn login(client: &Client, url: &str, name: &str) -> Option<String> {
    let form = json!({ "username": name, "password": PASSWORD });
    let login = client.post(format!("{url}/user/login")).json(&form);
    let answer = login.send().await.ok()?;
    let token = answer.headers().get("access-token")?;
    Some(token.to_str().ok()?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_every_kill() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let nodes = Arc::new(Nodes::new().await);
    let client = Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let mut children = Vec::new();
    for node in 0..nodes.ports.len() {
        children.push(nodes.start(node).await);
    }
    let url = nodes.url(0);
    let names: Vec<_> = (0..CLIENTS).map(|number| format!("user{number}")).collect();
    for name in &names {
        let form = json!({ "username": name, "password": PASSWORD });
        let register = client.post(format!("{url}/user/register")).json(&form);
        assert!(register.send().await.unwrap().status().is_success());
    }
    let (stop, uploads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let sent: Arc<Mutex<HashMap<String, Sent>>> = Arc::default();
    let clients: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let (name, nodes, client) = (name.clone(), Arc::clone(&nodes), client.clone());
            let (stop, uploads, sent) =
                (Arc::clone(&stop), Arc::clone(&uploads), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut seed = 0_u8;
                let mut token = None;
                // Another node each time, as a balancer does it.
                let mut turn = number;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let url = nodes.url(turn);
                    if token.is_none() {
                        token = login(&client, &url, &name).await;
                        if token.is_none() {
                            tokio::task::yield_now().await;
                            continue;
                        }
                    }
                    seed = seed.wrapping_add(1) % 20;
                    sent.lock()
                        .unwrap()
                        .entry(name.clone())
                        .or_default()
                        .unknown = true;
                    let form = multipart::Form::new().part("data", file(picture::numbered(seed)));
                    let upload = client
                        .put(format!("{url}/user/avatar/upload"))
                        .header("Access-Token", token.as_deref().unwrap())
                        .multipart(form);
                    let answer: Option<Value> = match upload.send().await {
                        Ok(answer) => answer.json().await.ok(),
                        Err(_) => None,
                    };
                    let picture = answer
                        .as_ref()
                        .and_then(|answer| answer["data"]["avatar_url"].as_str());
                    if let Some(picture) = picture {
                        uploads.fetch_add(1, Ordering::Relaxed);
                        let now = Sent {
                            acknowledged: Some(picture.to_owned()),
                            unknown: false,
                        };
                        sent.lock().unwrap().insert(name.clone(), now);
                    }
                }
            })
        })
        .collect();
    for kill in 1..=kills {
        // Some uploads later, and a moment that nobody chose.
        let enough = uploads.load(Ordering::Relaxed) + 1 + kill % 7;
        while uploads.load(Ordering::Relaxed) < enough {
            tokio::task::yield_now().await;
        }
        let node = kill as usize * 7 % children.len();
        children[node].kill().await.unwrap();
        children[node] = nodes.start(node).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    for name in &names {
        let token = login(&client, &url, name).await.unwrap();
        let info = client.get(format!("{url}/user/info"));
        let info = info.header("Access-Token", token).send().await.unwrap();
        let info: Value = info.json().await.unwrap();
        let urls = info["data"]["avatar_urls"].as_object().unwrap();
        assert_eq!(urls.len(), 4);
        for url in urls.values() {
            let picture = client.get(url.as_str().unwrap()).send().await.unwrap();
            assert!(picture.status().is_success(), "{name}: {url}");
            picture::decode(&picture.bytes().await.unwrap());
        }
        let sent = &sent.lock().unwrap()[name];
        let now = info["data"]["avatar_url"].as_str().map(str::to_owned);
        assert!(
            sent.unknown || sent.acknowledged == now,
            "{name} was told {:?} and has {now:?}",
            sent.acknowledged
        );
    }
    for mut child in children {
        let mut interrupt = Command::new("kill");
        interrupt.arg(child.id().unwrap().to_string());
        assert!(interrupt.status().await.unwrap().success());
        assert!(child.wait().await.unwrap().success());
    }
    let (clean, told) = nodes.print(&["fsck"]).await;
    assert!(clean, "{told}");
    // No kill leaves an object without a row: what an upload left half done is removed when its row's time is over.
    let (clean, told) = nodes.print(&["gc", "--remove"]).await;
    assert!(clean && told.contains(" 0 that no row names"), "{told}");
    let (clean, checked) = nodes.print(&["fsck"]).await;
    assert!(clean, "{checked}");
    println!(
        "{} uploads acknowledged over {kills} kills of {} nodes\n{told}",
        uploads.load(Ordering::Relaxed),
        nodes.ports.len()
    );
}
