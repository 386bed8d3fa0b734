//! Object stores: a separate bucket prefix for each test on the server in `TEST_S3_URL`, and tests
//! of the S3 requests.

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

/// Environment variable with the URL of an S3 server that has a bucket "pictures". If unset, tests
/// use a folder.
pub(crate) const SERVER: &str = "TEST_S3_URL";
/// Credentials of that server.
pub(crate) const ACCESS_KEY: &str = "test";
pub(crate) const SECRET_KEY: &str = "test-secret";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Returns an unused bucket prefix as `storage.url`, or `None` if no server is set.
pub(crate) fn create() -> Option<String> {
    let server = std::env::var(SERVER).ok()?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    Some(format!(
        "s3://pictures/{process}/{number}?endpoint={server}"
    ))
}

/// Returns the sorted keys of all objects in a store.
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
    /// Returns the sorted keys of all stored objects.
    pub(crate) async fn objects(&self) -> Vec<String> {
        keys(&self.app.storage).await
    }

    /// Opens the store directly, so that tests can read and change it without the service.
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
                // OpenDAL's default client is shared by all tests, and its runtime ends with one of
                // them.
                let client = ReqwestTransport::new(reqwest::Client::new());
                let context = OperationContext::new();
                let context = context.with_http_transport(HttpTransporter::new(client));
                Operator::new(builder).unwrap().with_context(context)
            }
        }
    }
}

/// An S3 stub that accepts every write and has no objects. On request it stops responding, like a
/// store without quorum.
#[derive(Clone, Default)]
struct Stub {
    requests: Arc<Mutex<Vec<(String, HeaderMap)>>>,
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
        self.requests.lock().unwrap().push((path, headers));
        let status = match *request.method() {
            Method::PUT => StatusCode::OK,
            _ => StatusCode::NOT_FOUND,
        };
        (status, [("etag", "\"1\"")])
    }

    /// Starts a service that uses this store with the given timeout, and a user.
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
async fn objects_are_stored_with_content_type_and_immutable_cache_control() {
    let stub = Stub::default();
    let (service, session) = stub.start("100ms").await;
    let response = service.upload(&session, picture::numbered(1)).await;
    let url = response.succeeded().data()["avatar_url"].as_str().unwrap();
    let key = url.split_once("/avatars/").unwrap().1;
    let mut requests = stub.requests.lock().unwrap();
    requests.retain(|(path, _)| path.starts_with("PUT /pictures/some/where/avatars/"));
    assert_eq!(requests.len(), 4);
    let (_, headers) = requests
        .iter()
        .find(|(path, _)| path.ends_with(key))
        .unwrap();
    assert_eq!(headers["content-type"], "image/webp");
    assert_eq!(
        headers["cache-control"],
        "public, max-age=31536000, immutable"
    );
    let signed = headers["authorization"].to_str().unwrap();
    assert!(signed.contains("Credential=key/"), "{signed}");
}

#[tokio::test]
async fn uploads_time_out_when_the_store_does_not_respond() {
    let stub = Stub::default();
    let (service, session) = stub.start("100ms").await;
    stub.silent.store(true, Ordering::Relaxed);
    let before = service.info(&session).await;
    let response = service.upload(&session, picture::numbered(1)).await;
    assert_eq!(response.body["base"]["reason"], "unavailable");
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers.contains_key("retry-after"));
    assert_eq!(service.info(&session).await, before);
    let ready = service.get("/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn concurrent_writes_to_the_store_are_limited() {
    const PERMITS: u8 = 32;
    let stub = Stub::default();
    // All uploads must arrive before the first one fails, which happens after three timeouts.
    let (service, session) = stub.start("1s").await;
    stub.silent.store(true, Ordering::Relaxed);
    let uploads = (0..PERMITS + 8).map(|seed| service.upload(&session, picture::numbered(seed)));
    let responses = futures_util::future::join_all(uploads).await;
    let count = |reason: &str| {
        let reasons = responses
            .iter()
            .map(|response| &response.body["base"]["reason"]);
        reasons.filter(|found| *found == reason).count()
    };
    assert_eq!(
        (count("unavailable"), count("busy")),
        (usize::from(PERMITS), 8)
    );
    assert!(
        responses
            .iter()
            .all(|response| response.headers.contains_key("retry-after"))
    );
    // Each write that the store may still apply has a row. Uploads without a write permit have
    // none.
    let declared = service.app.database.count_pictures().await.unwrap();
    assert_eq!(declared, u64::from(PERMITS));
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
fn a_store_url_is_parsed_or_refused_with_the_problem() {
    let parse = |url: &str| StorageLocation::parse(url).map(|location| location.to_string());
    for (url, displayed) in [
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
        assert_eq!(parse(url).as_deref(), Ok(displayed), "{url}");
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
        let message = parse(url).unwrap_err();
        assert!(
            message.contains(problem) && message.contains("allowed: fs://PATH"),
            "{url}: {message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
}
