//! Object stores: a part of a bucket for each test, on the server that the environment names; and what a bucket is sent.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use opendal::{
    HttpTransporter, OperationContext, Operator,
    services::{Fs, S3},
};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::header::HeaderMap;
use tokio::{net::TcpListener, process::Command};
use veraicon::storage::{Listed, Storage, StorageLocation};

use crate::{
    picture,
    service::{Service, Session},
};

/// The URL of a server that speaks S3 and has a bucket "pictures"; absent, tests use a folder.
pub(crate) const SERVER: &str = "TEST_S3_URL";
/// What opens that server.
pub(crate) const ACCESS_KEY: &str = "test";
pub(crate) const SECRET_KEY: &str = "test-secret";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty part of the bucket, as `storage.url`.
pub(crate) fn create() -> Option<String> {
    let server = std::env::var(SERVER).ok()?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    Some(format!(
        "s3://pictures/{process}/{number}?endpoint={server}"
    ))
}

/// The keys of all objects that a store holds as pictures.
pub(crate) async fn keys(storage: &Storage) -> Vec<String> {
    let mut listing = storage.list().await.unwrap();
    let mut all = Vec::new();
    while let Some(listed) = listing.next().await.unwrap() {
        match listed {
            Listed::Picture(_, objects) => all.extend(objects),
            Listed::Unknown(object) => all.push(object),
        }
    }
    all.sort_unstable();
    all
}

impl Service {
    /// The keys of all objects that are stored.
    pub(crate) async fn objects(&self) -> Vec<String> {
        keys(&self.app.storage).await
    }

    /// The store itself, to be read and changed past the service.
    pub(crate) fn store(&self) -> Operator {
        match self.app.config.storage_location().unwrap() {
            StorageLocation::Folder(folder) => {
                let folder = folder.into_os_string().into_string().unwrap();
                Operator::new(Fs::default().root(&folder)).unwrap()
            }
            StorageLocation::Bucket(bucket) => {
                let builder = S3::default()
                    .bucket(&bucket.name)
                    .root(&bucket.prefix)
                    .region(&bucket.region)
                    .endpoint(bucket.endpoint.as_deref().unwrap())
                    .access_key_id(ACCESS_KEY)
                    .secret_access_key(SECRET_KEY);
                // One of its own: the library's is every test's, and ends with one of them.
                let client = ReqwestTransport::new(reqwest::Client::new());
                let context = OperationContext::new();
                let context = context.with_http_transport(HttpTransporter::new(client));
                Operator::new(builder).unwrap().with_context(context)
            }
        }
    }
}

/// A store that takes everything, has nothing, and falls silent on request, as one does that has lost its quorum.
#[derive(Clone, Default)]
struct Stub {
    seen: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    silent: Arc<AtomicBool>,
}

impl Stub {
    async fn answer(
        self,
        request: Request<Body>,
    ) -> (StatusCode, [(&'static str, &'static str); 1]) {
        if self.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let path = format!("{} {}", request.method(), request.uri().path());
        let headers = request.headers().clone();
        self.seen.lock().unwrap().push((path, headers));
        let status = match *request.method() {
            Method::PUT => StatusCode::OK,
            _ => StatusCode::NOT_FOUND,
        };
        (status, [("etag", "\"1\"")])
    }

    /// A service that stores in it and waits so long for it, and a user.
    async fn start(&self, timeout: &str) -> (Service, Session) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stub = self.clone();
        let server = Router::new().fallback(move |request| stub.clone().answer(request));
        tokio::spawn(async { axum::serve(listener, server).await });
        let service = Service::start_with(|config| {
            config.storage.url = Some(format!(
                "s3://pictures/some/where?endpoint=http://{address}"
            ));
            config.storage.access_key = Some("key".into());
            config.storage.secret_key = Some("secret".into());
            config.storage.timeout = timeout.parse().unwrap();
        })
        .await;
        let session = service.user("someone").await;
        (service, session)
    }
}

#[tokio::test]
async fn objects_say_what_they_are_and_that_they_never_change() {
    let stub = Stub::default();
    let (service, session) = stub.start("100ms").await;
    let answer = service.upload(&session, picture::numbered(1)).await;
    let url = answer.succeeded().data()["avatar_url"].as_str().unwrap();
    let key = url.split_once("/avatars/").unwrap().1;
    let mut seen = stub.seen.lock().unwrap();
    seen.retain(|(path, _)| path.starts_with("PUT /pictures/some/where/avatars/"));
    assert_eq!(seen.len(), 4);
    let (_, headers) = seen.iter().find(|(path, _)| path.ends_with(key)).unwrap();
    assert_eq!(headers["content-type"], "image/webp");
    assert_eq!(
        headers["cache-control"],
        "public, max-age=31536000, immutable"
    );
    let signed = headers["authorization"].to_str().unwrap();
    assert!(signed.contains("Credential=key/"), "{signed}");
}

#[tokio::test]
async fn a_store_that_never_answers_makes_uploads_fail_in_time() {
    let stub = Stub::default();
    let (service, session) = stub.start("100ms").await;
    stub.silent.store(true, Ordering::Relaxed);
    let before = service.info(&session).await;
    let answer = service.upload(&session, picture::numbered(1)).await;
    assert_eq!(answer.body["base"]["reason"], "unavailable");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(service.info(&session).await, before);
    let ready = service.get("/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_node_stores_so_many_pictures_at_once_and_declares_no_more() {
    const TURNS: u8 = 32;
    let stub = Stub::default();
    // Uploads must all be there before the first one is given up on, after three times this.
    let (service, session) = stub.start("1s").await;
    stub.silent.store(true, Ordering::Relaxed);
    let uploads = (0..TURNS + 8).map(|seed| service.upload(&session, picture::numbered(seed)));
    let answers = futures_util::future::join_all(uploads).await;
    let with = |reason: &str| {
        let reasons = answers.iter().map(|answer| &answer.body["base"]["reason"]);
        reasons.filter(|found| *found == reason).count()
    };
    assert_eq!((with("unavailable"), with("busy")), (usize::from(TURNS), 8));
    assert!(
        answers
            .iter()
            .all(|answer| answer.headers.contains_key("retry-after"))
    );
    // What the store may still do has a row each; who had no turn left nothing.
    let declared = service.app.database.count_pictures().await.unwrap();
    assert_eq!(declared, u64::from(TURNS));
}

/// A store that refuses every request, as one does when the secret key is wrong. Returns its URL.
async fn refusing_store() -> String {
    const ANSWER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Router::new().fallback(async || (StatusCode::FORBIDDEN, ANSWER));
    tokio::spawn(async { axum::serve(listener, server).await });
    format!("s3://pictures?endpoint=http://{address}")
}

#[tokio::test]
async fn a_wrong_secret_key_is_named_as_the_cause() {
    let url = refusing_store().await;
    let service = Service::start_with(|config| {
        config.database.url = None;
        config.storage.url = None;
        config.tokens.key = None;
    })
    .await;
    let run = async |arguments: &[&str], data_dir: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_veraicon"));
        command
            .args(["--data-dir", data_dir, "--set", "server.listen=127.0.0.1:0"])
            .args(arguments)
            .env_clear()
            .env("VERAICON_TO_ACCESS_KEY", "key")
            .env("VERAICON_TO_SECRET_KEY", "wrong")
            .kill_on_drop(true);
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let storage = format!("storage.url={url}");
    let settings = [
        &*storage,
        "storage.access_key=key",
        "storage.secret_key=wrong",
    ];
    let settings = settings.map(|setting| ["--set", setting]).concat();
    for command in [&["serve"][..], &["gc"], &["fsck"]] {
        let arguments = [&settings, command].concat();
        let text = run(&arguments, folder.path().to_str().unwrap()).await;
        assert!(text.contains("storage.url: s3://pictures/"), "{text}");
        assert!(text.contains("PermissionDenied"), "{text}");
        assert!(text.contains("Access Denied."), "{text}");
    }
    let data_dir = &service.app.config.data_dir;
    let text = run(&["move-storage", "--to", &url], data_dir.to_str().unwrap()).await;
    assert!(text.contains("--to"), "{text}");
    assert!(text.contains("PermissionDenied"), "{text}");
    assert!(text.contains("Access Denied."), "{text}");
}

#[test]
fn a_url_names_a_place_or_says_what_is_wrong() {
    let place = |url: &str| StorageLocation::parse(url).map(|place| place.to_string());
    for (url, shown) in [
        ("fs:///var/lib/objects", "fs:///var/lib/objects"),
        ("s3://b?region=eu-central-1", "s3://b/"),
        ("s3://b/a/c/?endpoint=http://127.0.0.1:9000", "s3://b/a/c"),
        (
            "oss://b/x?endpoint=https://oss-cn-hangzhou.aliyuncs.com",
            "oss://b/x",
        ),
        (
            "cos://b-1250000000?endpoint=https://cos.ap-guangzhou.myqcloud.com",
            "cos://b-1250000000/",
        ),
    ] {
        assert_eq!(place(url).as_deref(), Ok(shown), "{url}");
    }
    for (url, problem) in [
        ("fs://", "the path is missing"),
        ("ftp://b", "not a known kind of store"),
        ("s3://b", "region and endpoint is required"),
        ("oss://b", "endpoint is required"),
        ("s3://b/a%20c?region=r", "prefix"),
        ("s3://?region=r", "bucket"),
        ("s3://b?region=r&colour=red", "\"colour\" is not known"),
        ("s3://b?endpoint=b.example.com", "endpoint"),
        ("s3://key:hunter2@b?region=r", "storage.secret_key"),
    ] {
        let told = place(url).unwrap_err();
        assert!(
            told.contains(problem) && told.contains("allowed: fs://PATH"),
            "{url}: {told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}
