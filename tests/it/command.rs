//! The `veraicon` command: serving, key rotation, configuration errors and output.

use std::process::{Output, Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

fn veraicon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veraicon"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VERAICON_")) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

async fn run(arguments: &[&str]) -> Output {
    veraicon().args(arguments).output().await.unwrap()
}

#[tokio::test]
async fn without_arguments_it_serves_prints_its_url_and_exits_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut child = veraicon()
        .args([
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data.to_str().unwrap(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(
        line.len() < 200 && line.contains(data.to_str().unwrap()),
        "{line}"
    );
    let url = line
        .split([' ', ';'])
        .find(|word| word.starts_with("http://localhost:"))
        .unwrap();
    assert!(
        reqwest::get(format!("{url}/health/ready"))
            .await
            .unwrap()
            .status()
            .is_success()
    );
    let second = run(&[
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ])
    .await;
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second.stderr).contains("in use by another veraicon"),
        "{}",
        text(&second.stderr)
    );
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().unwrap().to_string()])
        .status()
        .await
        .unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let log: Vec<_> = text(&output.stderr).lines().collect();
    assert!(
        log.len() == 1 && log[0].contains("worker processes are sandboxed"),
        "{log:?}"
    );
}

#[tokio::test]
async fn the_signing_key_is_created_once_and_only_readable_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let migrate = async || run(&["migrate", "--data-dir", data]).await;
    assert!(migrate().await.status.success());
    let path = folder.path().join("tokens.key");
    let key = std::fs::read_to_string(&path).unwrap();
    assert_eq!(key.trim_end().len(), 64);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(migrate().await.status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
    std::fs::write(&path, "short").unwrap();
    let refused = migrate().await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("tokens.key"),
        "{}",
        text(&refused.stderr)
    );
}

#[tokio::test]
async fn a_key_is_rotated_by_command_and_never_logged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let command = async |arguments: &[&str]| {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--data-dir", data, "--set", "log.filter=trace"]);
        run(&arguments).await
    };
    let keys = || std::fs::read_to_string(folder.path().join("data/tokens.key")).unwrap();
    assert!(command(&["migrate"]).await.status.success());
    let first = keys();
    let rotated = command(&["rotate-key"]).await;
    assert!(rotated.status.success(), "{}", text(&rotated.stderr));
    let both = keys();
    assert_eq!(both.lines().count(), 2);
    assert!(both.lines().nth(1).unwrap().starts_with(first.trim_end()));
    let started = command(&["migrate"]).await;
    for output in [&rotated, &started] {
        for key in both.lines().map(|line| &line[..64]) {
            assert!(!text(&output.stderr).contains(key));
            assert!(!text(&output.stdout).contains(key));
        }
    }
    assert!(!text(&started.stderr).is_empty());
    let removed = command(&["rotate-key", "--forget"]).await;
    assert!(removed.status.success());
    assert_eq!(keys().lines().count(), 1);
    assert!(!both.contains(keys().trim_end()));

    let secret = "tokens.key=a secret that is long enough to be one";
    let refused = command(&["rotate-key", "--set", secret]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("tokens.previous_keys"));
}

#[tokio::test]
async fn an_invalid_setting_stops_the_command_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = veraicon()
        .args(["--data-dir", data.to_str().unwrap()])
        .env("VERAICON_PICTURES__QUALITY", "0")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected = "veraicon: pictures.quality (environment variable VERAICON_PICTURES__QUALITY): 0; allowed: 1 to 100\n";
    assert_eq!(text(&output.stderr), expected);
    assert!(!data.exists());
}

#[tokio::test]
async fn check_config_prints_the_effective_settings_without_secrets() {
    let secret = "a secret that is long enough to be one";
    let output = veraicon()
        .args(["check-config", "--set", "pictures.sizes=300,100"])
        .env("VERAICON_TOKENS__KEY", secret)
        .env(
            "VERAICON_TOKENS__PREVIOUS_KEYS",
            format!("{secret} 2,{secret} 3"),
        )
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let settings = text(&output.stdout);
    assert!(
        settings.contains("sizes = [300, 100]") && !settings.contains(secret),
        "{settings}"
    );
}

#[tokio::test]
async fn openapi_prints_the_document() {
    let output = run(&["openapi"]).await;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["servers"][0]["url"], "http://localhost:10001");
}
