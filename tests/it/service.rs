//! A running service, and a client that validates every response against the OpenAPI document.

use std::{sync::LazyLock, time::Duration};

use jsonschema::Validator;
use reqwest::{Client, Method, RequestBuilder, StatusCode, header::HeaderMap, multipart};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use veraicon::{
    app::App, clock::Clock, config::Config, database::DatabaseLocation, http, serve,
    workers::Program,
};

use crate::{database, object_store};

/// 2026-05-01 00:00 UTC.
pub(crate) const START: i64 = 1_777_593_600_000;
pub(crate) const PASSWORD: &str = "correct horse 9";

pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
    pub(crate) root: String,
    pub(crate) folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

/// Tokens of a user who has logged in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// A response, with its body as JSON or null.
#[derive(Debug)]
pub(crate) struct ApiResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, Clock::manual(START), change).await
    }

    /// Restarts the service on the same data, with default settings changed by `change`.
    pub(crate) async fn restarted(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.stop().await;
        let Self {
            app, folder, clock, ..
        } = self;
        let config = app.config.clone();
        drop(app);
        let change = |new: &mut Config| {
            if config.database_is_shared() {
                new.database = config.database;
                new.tokens.key = config.tokens.key;
            }
            new.storage = config.storage;
            change(new);
        };
        // In reality a restart takes time. Without this step, identifiers of the same millisecond
        // would repeat.
        clock.advance(Duration::from_millis(1));
        Self::start_in(folder, clock, change).await
    }

    /// Starts another node on the same database, with the same signing key.
    pub(crate) async fn second_node(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = &self.app.config;
        let key = config.tokens.key.clone().unwrap_or_else(|| {
            let key = std::fs::read_to_string(config.key_path()).unwrap();
            key.trim().into()
        });
        Self::start_in(folder, self.clock.clone(), |config| {
            config.tokens.key = Some(key);
            config.database.url = Some(self.database_url().into());
            config.storage.clone_from(&self.app.config.storage);
            let location = self.app.config.storage_location().unwrap().to_string();
            config.storage.url.get_or_insert(location);
        })
        .await
    }

    pub(crate) fn database_url(&self) -> String {
        match self.app.config.database_location() {
            DatabaseLocation::File(path) => format!("sqlite://{}", path.display()),
            DatabaseLocation::Server { url, .. } => url.expose_secret().to_owned(),
        }
    }

    async fn start_in(folder: TempDir, clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            data_dir: folder.path().join("data"),
            ..Config::default()
        };
        // The lowest cost that bcrypt allows keeps the tests fast.
        config.accounts.bcrypt_cost = 4;
        if let Some(url) = database::create().await {
            config.database.url = Some(url.into());
            // Parallel tests share one server with a limited number of connections.
            config.database.connections = 6;
            config.tokens.key = Some("a key that is only for tests, and long enough".into());
        }
        if let Some(url) = object_store::create() {
            config.storage.url = Some(url);
            config.storage.access_key = Some(object_store::ACCESS_KEY.into());
            config.storage.secret_key = Some(object_store::SECRET_KEY.into());
        }
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = format!("http://127.0.0.1:{port}{}", config.server.base_path);
        let app = App::open(config, clock.clone(), port, program())
            .await
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(serve::run(listener, app.clone(), async {
            let _ = stopped.await;
        }));
        // Tests check the redirects themselves.
        let redirect = reqwest::redirect::Policy::none();
        let client = Client::builder().redirect(redirect).build().unwrap();
        Self {
            app,
            clock,
            client,
            root,
            folder,
            stop: Some(stop),
            running: Some(running),
        }
    }

    /// Stops the service and waits until it has stopped.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        self.running.take().unwrap().await.unwrap();
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.root))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(crate) async fn register(&self, username: &str) -> ApiResponse {
        let form = json!({ "username": username, "password": PASSWORD });
        self.post("/user/register").json(&form).submit().await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> ApiResponse {
        let form = json!({ "username": username, "password": password });
        self.post("/user/login").json(&form).submit().await
    }

    /// Registers a user and logs in.
    pub(crate) async fn user(&self, username: &str) -> Session {
        self.register(username).await.succeeded();
        Session::of(self.login(username, PASSWORD).await.succeeded())
    }

    pub(crate) async fn info(&self, session: &Session) -> Value {
        let response = self.get("/user/info").with_session(session).submit().await;
        response.succeeded().data().clone()
    }

    /// Checks that the session's access token is no longer valid.
    pub(crate) async fn assert_signed_out(&self, session: &Session) {
        let response = self.get("/user/info").with_session(session).submit().await;
        response.refused("token_invalid");
    }

    pub(crate) fn upload_form(&self, session: &Session, form: multipart::Form) -> RequestBuilder {
        let request = self.request(Method::PUT, "/user/avatar/upload");
        request.with_session(session).multipart(form)
    }

    pub(crate) async fn upload(&self, session: &Session, bytes: Vec<u8>) -> ApiResponse {
        let form = multipart::Form::new().part("data", file(bytes));
        self.upload_form(session, form).submit().await
    }

    /// Fetches a URL from a response of the service.
    pub(crate) async fn fetch(&self, url: &Value) -> reqwest::Response {
        // The service listens on IPv4 only, and `localhost` may resolve to IPv6.
        let url = url
            .as_str()
            .unwrap()
            .replace("//localhost:", "//127.0.0.1:");
        self.client.get(url).send().await.unwrap()
    }
}

/// Returns a worker program that injects faults on request.
pub(crate) fn program() -> Program {
    let program = Program::worker(env!("CARGO_BIN_EXE_veraicon").into());
    // Release builds have no fault injection.
    #[cfg(debug_assertions)]
    let program = program.with_argument(veraicon::workers::process::FAULTS);
    program
}

pub(crate) fn file(bytes: Vec<u8>) -> multipart::Part {
    multipart::Part::bytes(bytes).file_name("photo")
}

impl Session {
    pub(crate) fn of(response: &ApiResponse) -> Self {
        let header = |name| response.headers[name].to_str().unwrap().to_owned();
        Self {
            access: header("access-token"),
            refresh: header("refresh-token"),
        }
    }
}

pub(crate) trait RequestExt: Sized {
    /// Adds the session's access token.
    fn with_session(self, session: &Session) -> Self;
    /// Sends the request and validates the response against the OpenAPI document.
    async fn submit(self) -> ApiResponse;
}

impl RequestExt for RequestBuilder {
    fn with_session(self, session: &Session) -> Self {
        self.header("Access-Token", &session.access)
    }

    async fn submit(self) -> ApiResponse {
        let (client, request) = self.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        validate_against_document(&method, &path, status, &headers, &body);
        ApiResponse {
            status,
            headers,
            body,
        }
    }
}

impl ApiResponse {
    #[track_caller]
    pub(crate) fn succeeded(&self) -> &Self {
        assert_eq!(self.body["base"]["code"], 10000, "{}", self.body);
        assert_eq!(self.status, StatusCode::OK);
        self
    }

    /// Checks for a refusal: HTTP 200 with code -1, a message, this reason, and no data.
    #[track_caller]
    pub(crate) fn refused(&self, reason: &str) -> &Self {
        assert_eq!(self.body["base"]["reason"], reason, "{}", self.body);
        assert_eq!(self.body["base"]["code"], -1);
        assert!(!self.message().is_empty());
        assert!(self.body.get("data").is_none());
        assert_eq!(self.status, StatusCode::OK);
        self
    }

    /// Checks for HTTP 429, and returns the seconds in `Retry-After`.
    #[track_caller]
    pub(crate) fn assert_rate_limited(&self) -> u64 {
        assert_eq!(self.body["base"]["reason"], "rate_limited", "{}", self.body);
        assert_eq!(self.body["base"]["code"], -1);
        assert_eq!(self.status, StatusCode::TOO_MANY_REQUESTS);
        self.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["base"]["msg"].as_str().unwrap()
    }

    pub(crate) fn data(&self) -> &Value {
        &self.body["data"]
    }
}

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| http::openapi_document("http://localhost:10001"));

/// Checks that the document allows this response.
fn validate_against_document(
    method: &Method,
    path: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &Value,
) {
    let path = path.strip_prefix("/douyin").unwrap_or(path);
    let operation = DOCUMENT["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(template, _)| matches_template(template, path))
        .find_map(|(template, item)| {
            Some((template, item.get(method.as_str().to_ascii_lowercase())?))
        });
    let Some((template, operation)) = operation else {
        assert!(
            matches!(status.as_u16(), 404 | 405),
            "{method} {path} is not in the OpenAPI document"
        );
        return;
    };
    let status = status.as_u16().to_string();
    let mut response = &operation["responses"][&status];
    if let Some(reference) = response["$ref"].as_str() {
        response = DOCUMENT.pointer(&reference[1..]).unwrap();
    }
    assert!(
        response.is_object(),
        "{method} {template} has no response {status} in the OpenAPI document"
    );
    let Some(content) = response.get("content") else {
        return;
    };
    let media_type = headers["content-type"].to_str().unwrap();
    let schema = &content[media_type]["schema"];
    assert!(
        schema.is_object(),
        "{method} {template} {status} has no {media_type} in the OpenAPI document"
    );
    if media_type.contains("json") {
        let mut schema = schema.clone();
        schema["components"] = DOCUMENT["components"].clone();
        let validator: Validator = jsonschema::draft202012::new(&schema).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(body)
            .map(|error| error.to_string())
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {template} {status}: {errors:?} in {body}"
        );
    }
}

fn matches_template(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(expected, found)| expected == found || expected.starts_with('{'))
}
