//! Looking after what is stored: collecting orphans, checking, moving, and the commands for operators.

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
    app,
    digest::Digest,
    maintenance::{FsckReport, GcReport, MoveReport, Progress, Repair, proof_policy},
    metrics::Metrics,
    storage::{PictureKey, Storage, StorageLocation},
    workers::Workers,
};
use veraicon_picture::OutputFormat;

use crate::{
    picture,
    service::{self, PASSWORD, Service, Session},
};

/// Longer than the files of a test are old by the clock that tests hold still, and longer than any grace.
const LONG: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Keeps what is found.
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
        self.app.avatars.collect(remove, &progress).await.unwrap()
    }

    async fn check(&self, cure: Repair) -> (FsckReport, Vec<String>) {
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
        let checked = self.app.avatars.check(&proof, cure, &progress).await;
        proof.close();
        (checked.unwrap(), progress.0.into_inner().unwrap())
    }

    /// The keys of the objects of a user's picture, largest first, and the user's identifier.
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

    fn avatars_data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }
}

/// A user who has a picture.
async fn with_picture(service: Service) -> (Service, Session) {
    let session = service.user("someone").await;
    let upload = service.upload(&session, picture::numbered(1)).await;
    upload.succeeded();
    (service, session)
}

async fn orphan(service: &Service, user: i64, digit: char) -> PictureKey {
    let digest = Digest::parse(&digit.to_string().repeat(64)).unwrap();
    let key = PictureKey::new(user, digest);
    let bytes = Bytes::from_static(b"left behind");
    let objects = [(512, bytes.clone()), (64, bytes)];
    let stored = service.app.storage.put(&key, OutputFormat::WebP, &objects);
    stored.await.unwrap();
    key
}

#[tokio::test]
async fn exactly_the_orphans_are_collected_once_they_are_old() {
    let (service, session) = with_picture(Service::start().await).await;
    let (live, user) = service.picture_objects(&session).await;
    let key = orphan(&service, user, 'a').await;
    orphan(&service, user + 1, 'b').await;
    let foreign = format!("avatars/{user}/notes.txt");
    service.store().write(&foreign, "not ours").await.unwrap();

    let young = service.collect(true).await;
    assert_eq!((young.orphans, young.young, young.removed), (0, 2, 0));
    service.pass(LONG);
    let session = Session::of(service.login("someone", PASSWORD).await.succeeded());
    let told = service.collect(false).await;
    let expected = GcReport {
        pictures: 3,
        due: 0,
        orphans: 2,
        young: 0,
        foreign: 1,
        removed: 0,
    };
    assert_eq!(told, expected);
    assert_eq!(service.objects().await.len(), 4 + 4 + 1);
    assert_eq!(service.collect(true).await.removed, 2);
    let mut left = live.clone();
    left.push(foreign);
    left.sort_unstable();
    assert_eq!(service.objects().await, left);
    assert!(service.all_are_served(&session).await);
    let none = service.app.storage.get(&key, 512, "webp").await;
    assert_eq!(none.unwrap(), None);
    assert_eq!(service.collect(true).await.removed, 0);
}

#[tokio::test]
async fn what_is_whole_passes_and_what_is_missing_is_made_anew() {
    let (service, session) = with_picture(Service::start().await).await;
    service.user("without").await;
    let whole = FsckReport {
        accounts: 1,
        ..FsckReport::default()
    };
    assert_eq!(service.check(Repair::None).await, (whole, Vec::new()));
    let (objects, user) = service.picture_objects(&session).await;
    service.store().delete(&objects[1]).await.unwrap();
    let (found, findings) = service.check(Repair::None).await;
    assert_eq!((found.broken, found.cured), (1, 0));
    assert_eq!(
        findings,
        [format!("user {user} (someone): 256.webp is missing")]
    );
    assert!(!service.all_are_served(&session).await);
    let (cured, _) = service.check(Repair::Mend).await;
    assert_eq!((cured.broken, cured.cured), (1, 1));
    assert!(service.all_are_served(&session).await);
    assert_eq!(service.check(Repair::None).await, (whole, Vec::new()));
}

#[tokio::test]
async fn a_changed_byte_is_found() {
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
async fn what_is_lost_is_reset_only_when_that_is_asked_for() {
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
    let (found, _) = service.check(Repair::Mend).await;
    assert_eq!((found.broken, found.cured), (1, 0));
    assert_ne!(service.info(&session).await["avatar_url"], default);
    let (found, _) = service.check(Repair::MendAndReset).await;
    assert_eq!((found.broken, found.cured), (1, 1));
    assert_eq!(service.info(&session).await["avatar_url"], default);
}

#[tokio::test]
async fn a_copy_is_complete_and_resumed_and_held_to_the_original() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for seed in [1, 2] {
        service
            .upload(&session, picture::numbered(seed))
            .await
            .succeeded();
    }
    let folder = tempfile::tempdir().unwrap();
    let place = StorageLocation::Folder(folder.path().join("elsewhere"));
    let options = service.app.config.storage.options();
    let copy = Storage::open(&place, &options, String::new())
        .await
        .unwrap();
    let relocate = async |verify| {
        let progress = Findings::default();
        let pass = service.app.avatars.relocate(&copy, verify, &progress).await;
        pass.unwrap()
    };
    let first = relocate(false).await;
    assert_eq!((first.pictures, first.copied, first.broken), (2, 8, 0));
    let nothing = MoveReport {
        pictures: 2,
        ..MoveReport::default()
    };
    assert_eq!(relocate(true).await, nothing);
    // One copy is cut off, one is gone.
    let (objects, _) = service.picture_objects(&session).await;
    let copied = |object: &str| folder.path().join("elsewhere").join(object);
    fs::write(copied(&objects[0]), b"cut").unwrap();
    fs::remove_file(copied(&objects[1])).unwrap();
    assert_eq!(relocate(true).await.copied, 2);
    for object in &objects {
        let original = service.store().read(object).await.unwrap();
        assert_eq!(fs::read(copied(object)).unwrap(), original.to_vec());
    }
    // The original is not what its name says.
    let changed = service.store().write(&objects[3], "changed").await;
    changed.unwrap();
    assert_eq!(relocate(true).await.broken, 1);
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

fn printed(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Holds that a command failed, and said so.
fn fails(output: &Output, said: &str) {
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains(said), "{told}");
}

/// A service whose data the command finds by the folder alone.
async fn embedded() -> Service {
    Service::start_with(|config| {
        config.database.url = None;
        config.storage.url = None;
        config.tokens.key = None;
    })
    .await
}

#[tokio::test]
async fn operators_show_and_change_accounts_beside_the_running_service() {
    let service = embedded().await;
    let session = service.user("someone").await;
    let other = service.user("other").await;
    service
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
    let data = service.avatars_data();
    let user = |arguments: &'static [&'static str], input| {
        let data = data.clone();
        async move { command(&data, &[&["user"], arguments].concat(), input).await }
    };
    let list = user(&["list"], "").await;
    let lines: Vec<_> = printed(&list).lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("\tsomeone\t") && lines[0].ends_with("\tpicture"));
    let shown = user(&["show", "Someone"], "").await;
    assert!(printed(&shown).contains("name: someone\n"));
    printed(&user(&["revoke-sessions", "other"], "").await);
    service.shuts_out(&other).await;
    let new = "another horse 10";
    printed(&user(&["set-password", "someone"], "another horse 10\n").await);
    service.shuts_out(&session).await;
    service
        .login("someone", PASSWORD)
        .await
        .refused("bad_credentials");
    let session = Session::of(service.login("someone", new).await.succeeded());
    let short = user(&["set-password", "someone"], "short\n").await;
    assert!(!short.status.success());
    printed(&user(&["delete", "someone"], "").await);
    service.shuts_out(&session).await;
    assert_eq!(service.objects().await, Vec::<String>::new());
    let unknown = user(&["show", "nobody"], "").await;
    fails(&unknown, "\"nobody\"");
}

#[tokio::test]
async fn a_move_is_switched_to_once_the_service_has_stopped() {
    let (mut service, session) = with_picture(embedded().await).await;
    let data = service.avatars_data();
    let target = format!("fs://{data}/elsewhere");
    let arguments = ["move-storage", "--verify", "--to", &target];
    let running = command(&data, &arguments, "").await;
    assert!(printed(&running).contains("4 objects copied"));
    assert!(printed(&running).contains("a service is running"));
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
    assert!(printed(&stopped).contains("4 objects copied"));
    assert!(printed(&stopped).contains("from now on"));
    let former = command(&data, &["--listen", "127.0.0.1:0"], "").await;
    fails(&former, "moved from it");
    fs::remove_dir_all(folder.path().join("data/objects")).unwrap();
    let fsck = ["--set", &format!("storage.url={target}"), "fsck"];
    let checked = command(&data, &fsck, "").await;
    assert!(printed(&checked).starts_with("1 accounts with a picture: 0 "));
    let gc = ["--set", &format!("storage.url={target}"), "gc"];
    let collected = command(&data, &gc, "").await;
    assert!(printed(&collected).contains("0 that no row names"));
}

#[tokio::test]
async fn a_store_and_a_database_that_do_not_belong_together_are_refused() {
    let (mut service, _) = with_picture(embedded().await).await;
    let data = service.avatars_data();
    service.stop().await;
    let Service { app, folder, .. } = service;
    drop(app);
    // Neither the service nor a command takes an empty place for the store.
    let empty = format!("storage.url=fs://{data}/empty");
    for arguments in [&["--listen", "127.0.0.1:0"][..], &["gc", "--remove"]] {
        let refused = command(&data, &[&["--set", &empty], arguments].concat(), "").await;
        fails(&refused, "does not hold the pictures of this database");
    }
    // Nor is another database's store touched by whoever knows nothing of its pictures.
    let other = format!("{}/other", folder.path().display());
    let full = format!("storage.url=fs://{data}/objects");
    for arguments in [
        &["--listen", "127.0.0.1:0"][..],
        &["gc", "--remove"],
        &["user", "list"],
    ] {
        let refused = command(&other, &[&["--set", &full], arguments].concat(), "").await;
        fails(&refused, "holds the pictures of another database");
    }
    let checked = command(&data, &["fsck"], "").await;
    assert!(printed(&checked).starts_with("1 accounts with a picture: 0 "));
}
