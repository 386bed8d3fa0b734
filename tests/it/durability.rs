//! The order of the system calls that write an upload to disk, traced with strace.

use std::{path::Path, process::Stdio};

use reqwest::{Client, multipart};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{picture, service::file};

/// A relevant system call, in the order of completion.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Synced(String),
    Renamed(String),
}

#[tokio::test]
async fn every_object_and_its_folders_are_synced_before_the_database_commits() {
    let folder = tempfile::tempdir().unwrap();
    let (data, trace) = (folder.path().join("data"), folder.path().join("trace"));
    let mut strace = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-s",
            "0",
            "-e",
            "trace=fsync,fdatasync,rename,renameat,renameat2,kill",
            "-o",
        ])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_veraicon"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--set",
            "accounts.bcrypt_cost=4",
            "--data-dir",
        ])
        .arg(&data)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("strace must be installed: apt-get install strace");
    let line = BufReader::new(strace.stdout.take().unwrap())
        .lines()
        .next_line()
        .await
        .unwrap()
        .unwrap();
    let url = line
        .split([' ', ';'])
        .find(|word| word.starts_with("http://"))
        .unwrap()
        .to_owned();
    let client = Client::new();
    let form = json!({ "username": "someone", "password": "correct horse 9" });
    client
        .post(format!("{url}/user/register"))
        .json(&form)
        .send()
        .await
        .unwrap();
    let login = client
        .post(format!("{url}/user/login"))
        .json(&form)
        .send()
        .await
        .unwrap();
    let before = steps(&trace, &data).len();
    let upload = client
        .put(format!("{url}/user/avatar/upload"))
        .header("Access-Token", &login.headers()["access-token"])
        .multipart(multipart::Form::new().part("data", file(picture::numbered(1))));
    let response: serde_json::Value = upload.send().await.unwrap().json().await.unwrap();
    assert_eq!(response["base"]["code"], 10000, "{response}");
    let steps = steps(&trace, &data).split_off(before);
    stop(&trace, strace).await;
    let position = |step: &Step| {
        steps
            .iter()
            .position(|other| other == step)
            .unwrap_or_else(|| panic!("{step:?} is missing in {steps:#?}"))
    };
    let last_commit = steps
        .iter()
        .rposition(|step| matches!(step, Step::Synced(path) if path.starts_with("veraicon.db")))
        .unwrap();
    let avatar = url::Url::parse(response["data"]["avatar_url"].as_str().unwrap()).unwrap();
    let picture_folder = Path::new("objects")
        .join(avatar.path().trim_start_matches('/'))
        .parent()
        .unwrap()
        .to_owned();
    let mut last_rename = 0;
    for size in [512, 256, 128, 64] {
        let object = picture_folder
            .join(format!("{size}.webp"))
            .display()
            .to_string();
        let renamed = position(&Step::Renamed(object));
        let synced = steps[..renamed]
            .iter()
            .filter(
                |step| matches!(step, Step::Synced(path) if path.contains(&format!("{size}.webp"))),
            )
            .count();
        assert_eq!(
            synced, 1,
            "{size}.webp is not synced exactly once before its rename: {steps:#?}"
        );
        last_rename = last_rename.max(renamed);
    }
    for ancestor in picture_folder
        .ancestors()
        .filter(|path| path.starts_with("objects"))
    {
        let synced = position(&Step::Synced(ancestor.display().to_string()));
        assert!(
            last_rename < synced && synced < last_commit,
            "{} is not synced between the last rename and the last commit: {steps:#?}",
            ancestor.display()
        );
    }
}

/// Stops the traced service, which also ends strace.
async fn stop(trace: &Path, mut strace: Child) {
    let text = std::fs::read_to_string(trace).unwrap();
    let (process, _) = text.split_once(' ').unwrap();
    let status = Command::new("kill")
        .args(["-INT", process])
        .status()
        .await
        .unwrap();
    assert!(status.success());
    strace.wait().await.unwrap();
}

/// Parses the completed calls of a trace. Paths are relative to the data folder.
fn steps(trace: &Path, data: &Path) -> Vec<Step> {
    let data = data.canonicalize().unwrap();
    let data = format!("{}/", data.display());
    let text = std::fs::read_to_string(trace).unwrap();
    let mut unfinished = std::collections::HashMap::new();
    let mut steps = Vec::new();
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let completed = if let Some(begun) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread.to_owned(), begun.to_owned());
            continue;
        } else if call.starts_with("<...") {
            let (_, end) = call.split_once("resumed>").unwrap();
            unfinished.remove(thread).unwrap_or_default() + end
        } else {
            call.to_owned()
        };
        if !completed.trim_end().ends_with("= 0") {
            continue;
        }
        if completed.starts_with("fsync(") || completed.starts_with("fdatasync(") {
            if let Some((_, path)) = completed.split_once(&data) {
                steps.push(Step::Synced(path.split('>').next().unwrap().to_owned()));
            }
        } else if completed.starts_with("rename") {
            let target = completed.rsplit('"').nth(1).unwrap();
            if let Some((_, path)) = target.split_once("/data/") {
                steps.push(Step::Renamed(path.to_owned()));
            }
        }
    }
    steps
}
