//! Maintenance of stored pictures: garbage collection, consistency checks and moves; and the
//! commands for operators.

use std::{
    fs,
    process::{Output, Stdio},
    sync::Mutex,
    time::Duration,
};

use bytes::Bytes;
use reqwest::StatusCode;
use tokio::{io::AsyncWriteExt, process::Command};
use veraicon::{
    app::{self, CommandContext},
    clock::Clock,
    config::Config,
    digest::Digest,
    maintenance::{FsckReport, GcReport, MoveReport, Progress, Repair, proof_policy},
    metrics::Metrics,
    node::NodeLease,
    storage::{PictureKey, Storage, StorageLocation},
    workers::Workers,
};
use veraicon_picture::OutputFormat;

use crate::{
    database, picture,
    service::{self, PASSWORD, Service, Session},
};

/// Longer than any grace period, and than the age of test files by the fixed test clock.
const LONG: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// A progress reporter that records the findings.
#[derive(Default)]
struct Findings(Mutex<Vec<String>>);

impl Progress for Findings {
    fn expect(&self, _steps: u64) {}

    fn advance(&self, _steps: u64) {}

    fn find(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }
}

impl Service {
    async fn collect(&self, remove: bool) -> GcReport {
        let progress = Findings::default();
        self.app.maintenance.gc(remove, &progress).await.unwrap()
    }

    async fn check(&self, repair: Repair) -> (FsckReport, Vec<String>) {
        let policy = proof_policy(&self.app.policy);
        let budget = app::budget(&self.app.config, &policy).unwrap();
        let proof = Workers::new(
            budget,
            policy.into(),
            service::program(),
            Metrics::default(),
        );
        proof.open().await.unwrap();
        let progress = Findings::default();
        let checked = self.app.maintenance.fsck(&proof, repair, &progress).await;
        proof.close();
        (checked.unwrap(), progress.0.into_inner().unwrap())
    }

    /// Returns the object keys of a user's picture, largest first, and the user's identifier.
    async fn picture_objects(&self, session: &Session) -> (Vec<String>, i64) {
        let user = self.info(session).await;
        let urls = user["avatar_urls"].as_object().unwrap().values();
        let keys = urls.map(|url| {
            let (_, key) = url.as_str().unwrap().split_once("/avatars/").unwrap();
            format!("avatars/{key}")
        });
        let id = user["id"].as_str().unwrap().parse().unwrap();
        (keys.collect(), id)
    }

    async fn all_are_served(&self, session: &Session) -> bool {
        let user = self.info(session).await;
        let mut served = true;
        for url in user["avatar_urls"].as_object().unwrap().values() {
            served &= self.fetch(url).await.status() == StatusCode::OK;
        }
        served
    }

    fn data_dir(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }
}

/// Adds a user with a picture.
async fn with_picture(service: Service) -> (Service, Session) {
    let session = service.user("someone").await;
    let upload = service.upload(&session, picture::numbered(1)).await;
    upload.succeeded();
    (service, session)
}

async fn orphan(service: &Service, user: i64, digit: char) -> PictureKey {
    let digest = Digest::parse(&digit.to_string().repeat(64)).unwrap();
    let key = PictureKey::new(user, digest);
    let bytes = Bytes::from_static(b"orphan");
    let objects = [(512, bytes.clone()), (64, bytes)];
    let stored = service.app.storage.put(&key, OutputFormat::WebP, &objects);
    stored.await.unwrap();
    key
}

#[tokio::test]
async fn only_orphans_older_than_the_grace_period_are_collected() {
    let (service, session) = with_picture(Service::start().await).await;
    let (live, user) = service.picture_objects(&session).await;
    let key = orphan(&service, user, 'a').await;
    orphan(&service, user + 1, 'b').await;
    let foreign = format!("avatars/{user}/notes.txt");
    service.store().write(&foreign, "not ours").await.unwrap();

    let young = service.collect(true).await;
    assert_eq!((young.orphans, young.young, young.removed), (0, 2, 0));
    service.advance(LONG);
    let session = Session::of(service.login("someone", PASSWORD).await.succeeded());
    let found = service.collect(false).await;
    let expected = GcReport {
        pictures: 3,
        due: 0,
        orphans: 2,
        young: 0,
        unknown: 1,
        removed: 0,
    };
    assert_eq!(found, expected);
    assert_eq!(service.objects().await.len(), 4 + 4 + 1);
    assert_eq!(service.collect(true).await.removed, 2);
    let mut remaining = live.clone();
    remaining.push(foreign);
    remaining.sort_unstable();
    assert_eq!(service.objects().await, remaining);
    assert!(service.all_are_served(&session).await);
    let none = service.app.storage.get(&key, 512, "webp").await;
    assert_eq!(none.unwrap(), None);
    assert_eq!(service.collect(true).await.removed, 0);
}

#[tokio::test]
async fn a_complete_picture_passes_the_check_and_a_missing_size_is_recreated() {
    let (service, session) = with_picture(Service::start().await).await;
    service.user("without").await;
    let complete = FsckReport {
        accounts: 1,
        ..FsckReport::default()
    };
    assert_eq!(service.check(Repair::None).await, (complete, Vec::new()));
    let (objects, user) = service.picture_objects(&session).await;
    service.store().delete(&objects[1]).await.unwrap();
    let (found, findings) = service.check(Repair::None).await;
    assert_eq!((found.broken, found.repaired), (1, 0));
    assert_eq!(
        findings,
        [format!("user {user} (someone): 256.webp is missing")]
    );
    assert!(!service.all_are_served(&session).await);
    let (repaired, _) = service.check(Repair::Lossless).await;
    assert_eq!((repaired.broken, repaired.repaired), (1, 1));
    assert!(service.all_are_served(&session).await);
    assert_eq!(service.check(Repair::None).await, (complete, Vec::new()));
}

#[tokio::test]
async fn a_changed_byte_is_detected() {
    let (service, session) = with_picture(Service::start().await).await;
    let (objects, _) = service.picture_objects(&session).await;
    let store = service.store();
    let mut bytes = store.read(&objects[0]).await.unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.write(&objects[0], bytes).await.unwrap();
    let (found, findings) = service.check(Repair::None).await;
    assert_eq!(found.broken, 1, "{findings:?}");
    store.write(&objects[0], "RIFF").await.unwrap();
    let (found, findings) = service.check(Repair::None).await;
    assert_eq!(found.broken, 1);
    assert!(
        findings[0].contains("512.webp does not decode"),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_lost_picture_is_reset_only_on_request() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let default = service.info(&session).await["avatar_url"].clone();
    service
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
    let (objects, _) = service.picture_objects(&session).await;
    for object in &objects {
        service.store().delete(object).await.unwrap();
    }
    let (found, _) = service.check(Repair::Lossless).await;
    assert_eq!((found.broken, found.repaired), (1, 0));
    assert_ne!(service.info(&session).await["avatar_url"], default);
    let (found, _) = service.check(Repair::ResetLost).await;
    assert_eq!((found.broken, found.repaired), (1, 1));
    assert_eq!(service.info(&session).await["avatar_url"], default);
}

#[tokio::test]
async fn a_copy_is_complete_resumable_and_verified_against_the_original() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for seed in [1, 2] {
        service
            .upload(&session, picture::numbered(seed))
            .await
            .succeeded();
    }
    let folder = tempfile::tempdir().unwrap();
    let location = StorageLocation::Folder(folder.path().join("elsewhere"));
    let options = service.app.config.storage.options();
    let copy = Storage::open(&location, &options, String::new())
        .await
        .unwrap();
    let copy_all = async |verify| {
        let progress = Findings::default();
        let pass = service
            .app
            .maintenance
            .move_storage(&copy, verify, &progress)
            .await;
        pass.unwrap()
    };
    let first = copy_all(false).await;
    assert_eq!((first.pictures, first.copied, first.broken), (2, 8, 0));
    let unchanged = MoveReport {
        pictures: 2,
        ..MoveReport::default()
    };
    assert_eq!(copy_all(true).await, unchanged);
    // One copy is truncated, one is missing.
    let (objects, _) = service.picture_objects(&session).await;
    let copied = |object: &str| folder.path().join("elsewhere").join(object);
    fs::write(copied(&objects[0]), b"truncated").unwrap();
    fs::remove_file(copied(&objects[1])).unwrap();
    assert_eq!(copy_all(true).await.copied, 2);
    for object in &objects {
        let original = service.store().read(object).await.unwrap();
        assert_eq!(fs::read(copied(object)).unwrap(), original.to_vec());
    }
    // The content of one original does not match its digest.
    let changed = service.store().write(&objects[3], "changed").await;
    changed.unwrap();
    assert_eq!(copy_all(true).await.broken, 1);
}

async fn command(data: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_veraicon"))
        .args(["--data-dir", data, "--set", "accounts.bcrypt_cost=4"])
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn stdout(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Checks that a command failed with this message.
fn assert_fails(output: &Output, message: &str) {
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(message), "{stderr}");
}

/// Starts a service with the embedded database and a folder as store, which commands find by the
/// data folder.
async fn embedded() -> Service {
    Service::start_with(|config| {
        config.database.url = None;
        config.storage.url = None;
        config.tokens.key = None;
    })
    .await
}

#[tokio::test]
async fn operators_show_and_change_accounts_while_the_service_runs() {
    let service = embedded().await;
    let session = service.user("someone").await;
    let other = service.user("other").await;
    service
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
    let data = service.data_dir();
    let user = |arguments: &'static [&'static str], input| {
        let data = data.clone();
        async move { command(&data, &[&["user"], arguments].concat(), input).await }
    };
    let list = user(&["list"], "").await;
    let lines: Vec<_> = stdout(&list).lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("\tsomeone\t") && lines[0].ends_with("\tpicture"));
    let details = user(&["show", "Someone"], "").await;
    assert!(stdout(&details).contains("name: someone\n"));
    stdout(&user(&["revoke-sessions", "other"], "").await);
    service.assert_signed_out(&other).await;
    let new = "another horse 10";
    stdout(&user(&["set-password", "someone"], "another horse 10\n").await);
    service.assert_signed_out(&session).await;
    service
        .login("someone", PASSWORD)
        .await
        .refused("bad_credentials");
    let session = Session::of(service.login("someone", new).await.succeeded());
    let short = user(&["set-password", "someone"], "short\n").await;
    assert!(!short.status.success());
    stdout(&user(&["delete", "someone"], "").await);
    service.assert_signed_out(&session).await;
    assert_eq!(service.objects().await, Vec::<String>::new());
    let unknown = user(&["show", "nobody"], "").await;
    assert_fails(&unknown, "\"nobody\"");
}

#[tokio::test]
async fn a_moved_store_is_used_only_after_the_service_has_stopped() {
    let (mut service, session) = with_picture(embedded().await).await;
    let data = service.data_dir();
    let target = format!("fs://{data}/elsewhere");
    let arguments = ["move-storage", "--verify", "--to", &target];
    let running = command(&data, &arguments, "").await;
    assert!(stdout(&running).contains("4 objects copied"));
    assert!(stdout(&running).contains("a service is running"));
    service
        .upload(&session, picture::numbered(2))
        .await
        .succeeded();
    service.stop().await;
    let Service {
        app,
        clock: _,
        folder,
        ..
    } = service;
    drop(app);
    let stopped = command(&data, &arguments, "").await;
    assert!(stdout(&stopped).contains("4 objects copied"));
    assert!(stdout(&stopped).contains("from now on"));
    let former = command(&data, &["--listen", "127.0.0.1:0"], "").await;
    assert_fails(&former, "were moved away from it");
    fs::remove_dir_all(folder.path().join("data/objects")).unwrap();
    let fsck = ["--set", &format!("storage.url={target}"), "fsck"];
    let checked = command(&data, &fsck, "").await;
    assert!(stdout(&checked).starts_with("1 accounts with a picture; broken pictures: 0;"));
    let gc = ["--set", &format!("storage.url={target}"), "gc"];
    let collected = command(&data, &gc, "").await;
    assert!(stdout(&collected).contains("without a row: 0,"));
}

#[tokio::test]
async fn a_store_of_another_database_is_refused() {
    let (mut service, _) = with_picture(embedded().await).await;
    let data = service.data_dir();
    service.stop().await;
    let Service { app, folder, .. } = service;
    drop(app);
    // Neither the service nor a command accepts an empty folder as the store.
    let empty = format!("storage.url=fs://{data}/empty");
    for arguments in [&["--listen", "127.0.0.1:0"][..], &["gc", "--remove"]] {
        let refused = command(&data, &[&["--set", &empty], arguments].concat(), "").await;
        assert_fails(&refused, "does not hold the pictures of this database");
    }
    // An empty database must not use the store of another database.
    let other = format!("{}/other", folder.path().display());
    let full = format!("storage.url=fs://{data}/objects");
    for arguments in [
        &["--listen", "127.0.0.1:0"][..],
        &["gc", "--remove"],
        &["user", "list"],
    ] {
        let refused = command(&other, &[&["--set", &full], arguments].concat(), "").await;
        assert_fails(&refused, "holds the pictures of another database");
    }
    let checked = command(&data, &["fsck"], "").await;
    assert!(stdout(&checked).starts_with("1 accounts with a picture; broken pictures: 0;"));
}

#[tokio::test]
async fn a_failed_upload_does_not_shorten_the_grace_of_the_picture_that_it_uploads_again() {
    let service = embedded().await;
    let session = service.user("someone").await;
    let replaced = service.upload(&session, picture::numbered(1)).await;
    service
        .upload(&session, picture::numbered(2))
        .await
        .succeeded();

    // Without the folder of unfinished files, no object can be written.
    let unfinished = service.folder.path().join("data/objects/.unfinished");
    fs::remove_dir(&unfinished).unwrap();
    fs::write(&unfinished, "not a folder").unwrap();
    let failed = service.upload(&session, picture::numbered(1)).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    fs::remove_file(&unfinished).unwrap();
    fs::create_dir(&unfinished).unwrap();

    assert_eq!(service.app.avatars.sweep(None).await.unwrap(), 0);
    let url = &replaced.data()["avatar_url"];
    assert_eq!(service.fetch(url).await.status(), StatusCode::OK);
    service.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(service.app.avatars.sweep(None).await.unwrap(), 1);
}

#[tokio::test]
async fn a_failed_collection_is_tried_again_in_the_next_round() {
    let (service, session) = with_picture(embedded().await).await;
    let (_, user) = service.picture_objects(&session).await;
    orphan(&service, user, 'a').await;
    service.advance(LONG);

    // A file in place of the folder makes the listing fail.
    let objects = service.folder.path().join("data/objects");
    fs::rename(objects.join("avatars"), objects.join("hidden")).unwrap();
    fs::write(objects.join("avatars"), "not a folder").unwrap();
    service.app.jobs.run_once().await.unwrap_err();
    fs::remove_file(objects.join("avatars")).unwrap();
    fs::rename(objects.join("hidden"), objects.join("avatars")).unwrap();

    assert_eq!(service.app.jobs.run_once().await.unwrap(), 1);
    // The collection has succeeded: no other one runs on this day.
    orphan(&service, user, 'b').await;
    assert_eq!(service.app.jobs.run_once().await.unwrap(), 0);
}

#[tokio::test]
async fn a_failed_command_gives_its_node_number_back() {
    let Some(url) = database::create().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        data_dir: folder.path().into(),
        ..Config::default()
    };
    config.database.url = Some(url.into());
    let context = |config: Config| {
        let work = async |context: &CommandContext| anyhow::Ok(context.nodes_run().await?);
        CommandContext::run(config, Clock::System, service::program(), work)
    };
    // No service has used the database: the command fails after it has leased a number.
    context(config.clone()).await.unwrap_err();
    let database = app::open_database(&config).await.unwrap();
    let (lease, _) = NodeLease::acquire(database).await.unwrap();
    assert!(!lease.others_active().await.unwrap());
}
