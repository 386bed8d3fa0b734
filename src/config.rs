//! Settings: what can be set, its default, and what is allowed.
//!
//! A file in TOML, over it the environment, over it flags; see [`load`].

mod limits;
mod source;
mod value;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{database::Location, storage};

pub use self::{
    limits::Limits,
    source::{Invalid, Overrides, environment, load},
    value::{LogFormat, Network, Period, PictureFormat, Registration, SandboxNeed},
};

/// The shortest signing key that is taken, in bytes: as many as the output of SHA-256 has (RFC 7518, section 3.2).
pub const SHORTEST_KEY: usize = 32;

/// A database in a file.
const SQLITE: &str = "sqlite://";
/// Databases that several nodes can share.
const SERVERS: [&str; 3] = ["postgres://", "postgresql://", "mysql://"];

/// All settings. Each section carries its defaults and the check of its values.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the embedded database, the pictures and the signing key lie.
    pub data_dir: PathBuf,
    /// How the service is reached.
    pub server: Server,
    /// Where accounts and sessions are kept.
    pub database: Database,
    /// Where pictures are kept.
    pub storage: Storage,
    /// How tokens are made.
    pub tokens: Tokens,
    /// Accounts and their passwords.
    pub accounts: Accounts,
    /// What pictures are accepted, and what becomes of them.
    pub pictures: Pictures,
    /// Bounds on what clients may ask for.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
}

/// How the service is reached.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address to listen on. Port 0 takes any free one.
    #[serde(deserialize_with = "value::scalar")]
    pub listen: SocketAddr,
    /// The path under which all routes lie: empty, or `/douyin`.
    #[serde(deserialize_with = "value::scalar")]
    pub base_path: String,
    /// The URL that clients know the service by, base path included.
    #[serde(deserialize_with = "value::optional")]
    pub public_url: Option<String>,
    /// Origins of browser apps that may call the service: `https://app.example.com`.
    #[serde(deserialize_with = "value::list")]
    pub allowed_origins: Vec<String>,
    /// Where counts can be read (`GET /metrics`); absent, nowhere.
    #[serde(deserialize_with = "value::optional")]
    pub metrics_listen: Option<SocketAddr>,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "value::list")]
    pub trusted_proxies: Vec<Network>,
    /// How long a client may take to send the head of a request.
    #[serde(deserialize_with = "value::scalar")]
    pub header_timeout: Period,
    /// How long a client may pause within a body.
    #[serde(deserialize_with = "value::scalar")]
    pub body_timeout: Period,
    /// How long a body may take in all.
    #[serde(deserialize_with = "value::scalar")]
    pub body_deadline: Period,
    /// Once `body_timeout` has passed, the least of a body that must have come for each second since; 0 for none.
    #[serde(deserialize_with = "value::scalar")]
    pub body_rate: ByteSize,
    /// How long requests in flight may take to finish after Ctrl-C.
    #[serde(deserialize_with = "value::scalar")]
    pub shutdown_timeout: Period,
}

/// Where accounts and sessions are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `sqlite://PATH`, `postgres://…` or `mysql://…`; absent, a file in the data directory.
    #[serde(deserialize_with = "value::secret", serialize_with = "value::redacted")]
    pub url: Option<SecretString>,
    /// The most connections to a database server that this node opens.
    #[serde(deserialize_with = "value::scalar")]
    pub connections: u32,
}

/// Where pictures are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// `fs://PATH`, or `s3://`, `oss://` or `cos://` and a bucket; absent, a folder in the data directory.
    #[serde(deserialize_with = "value::optional")]
    pub url: Option<String>,
    /// The identifier of the key to a bucket; absent, what the provider's own variables and files say.
    #[serde(deserialize_with = "value::optional")]
    pub access_key: Option<String>,
    /// The key itself.
    #[serde(deserialize_with = "value::secret", serialize_with = "value::redacted")]
    pub secret_key: Option<SecretString>,
    /// The URL under which the objects can be fetched without the service: a bucket's or a CDN's.
    #[serde(deserialize_with = "value::optional")]
    pub public_url: Option<String>,
    /// How long one request to a bucket may take; it is made again twice.
    #[serde(deserialize_with = "value::scalar")]
    pub timeout: Period,
    /// How long a replaced picture stays.
    #[serde(deserialize_with = "value::scalar")]
    pub grace: Period,
}

/// How tokens are made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// The secret that all signing keys are drawn from; absent, one is made and kept in the data directory.
    #[serde(deserialize_with = "value::secret", serialize_with = "value::redacted")]
    pub key: Option<SecretString>,
    /// Secrets that sign no longer, and whose tokens are still good.
    #[serde(
        deserialize_with = "value::secrets",
        serialize_with = "value::all_redacted"
    )]
    pub previous_keys: Vec<SecretString>,
    /// How long an access token is good for.
    #[serde(deserialize_with = "value::scalar")]
    pub access_ttl: Period,
    /// How long a refresh token is good for.
    #[serde(deserialize_with = "value::scalar")]
    pub refresh_ttl: Period,
}

/// Accounts and their passwords.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// The IANA time zone that times are given in.
    #[serde(deserialize_with = "value::scalar")]
    pub time_zone: String,
    /// The cost of a password's hash: two to this power rounds.
    #[serde(deserialize_with = "value::scalar")]
    pub bcrypt_cost: u32,
    /// Whether anyone may make an account.
    #[serde(deserialize_with = "value::scalar")]
    pub registration: Registration,
}

/// What pictures are accepted, and what becomes of them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pictures {
    /// The largest file that is taken.
    #[serde(deserialize_with = "value::scalar")]
    pub max_bytes: ByteSize,
    /// The most pixels that a picture may have, width times height.
    #[serde(deserialize_with = "value::scalar")]
    pub max_pixels: u64,
    /// The sides of the squares that are made, in pixels.
    #[serde(deserialize_with = "value::list")]
    pub sizes: Vec<u32>,
    /// The format of the squares.
    #[serde(deserialize_with = "value::scalar")]
    pub format: PictureFormat,
    /// The quality of the squares, 1 to 100.
    #[serde(deserialize_with = "value::scalar")]
    pub quality: u8,
    /// How many pictures are worked on at once; 0 takes one for each core.
    #[serde(deserialize_with = "value::scalar")]
    pub workers: usize,
    /// How many uploads may wait for a worker, before the next is turned away.
    #[serde(deserialize_with = "value::scalar")]
    pub queue: usize,
    /// The most memory for bodies of uploads and worker processes together.
    #[serde(deserialize_with = "value::scalar")]
    pub memory: ByteSize,
    /// How long an upload waits for a worker, and how long the worker may take.
    #[serde(deserialize_with = "value::scalar")]
    pub timeout: Period,
    /// Whether the service runs where worker processes cannot be closed in.
    #[serde(deserialize_with = "value::scalar")]
    pub sandbox: SandboxNeed,
}

/// What is logged, and how. Logs go to standard error.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, or directives of `tracing`.
    #[serde(deserialize_with = "value::scalar")]
    pub filter: String,
    /// Lines for people, or JSON for programs.
    #[serde(deserialize_with = "value::scalar")]
    pub format: LogFormat,
}

impl Config {
    /// Checks every value against what is allowed, before anything is opened or bound.
    ///
    /// # Errors
    /// The key of the first setting that is wrong, and what is allowed.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        self.server.validate()?;
        self.database.validate()?;
        self.storage.validate()?;
        self.tokens.validate()?;
        check(
            self.tokens.key.is_some() || !self.database_is_shared(),
            "tokens.key",
            "none; a database that several nodes can share needs a key that they share",
        )?;
        self.accounts.validate()?;
        self.pictures.validate()?;
        self.limits.validate()?;
        tracing_subscriber::EnvFilter::try_new(&self.log.filter)
            .map(|_| ())
            .map_err(|error| ("log.filter", format!("{:?}: {error}", self.log.filter)))
    }

    /// Where the database lies, the default filled in.
    #[must_use]
    pub fn database_location(&self) -> Location {
        let Some(url) = &self.database.url else {
            return Location::File(self.data_dir.join("veraicon.db"));
        };
        match path_of(url.expose_secret(), SQLITE) {
            Some(path) => Location::File(path.into()),
            None => Location::Server {
                url: url.clone(),
                connections: self.database.connections,
            },
        }
    }

    /// Whether other nodes may use the same database.
    #[must_use]
    pub fn database_is_shared(&self) -> bool {
        matches!(self.database_location(), Location::Server { .. })
    }

    /// The file that the signing key is kept in, where it is not set.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.data_dir.join("tokens.key")
    }

    /// Where objects lie, the default filled in.
    ///
    /// # Errors
    /// What is wrong with the setting.
    pub fn storage_location(&self) -> Result<storage::Location, String> {
        match &self.storage.url {
            Some(url) => storage::Location::parse(url),
            None => Ok(storage::Location::Folder(self.data_dir.join("objects"))),
        }
    }

    /// The URL that clients know the service by, without a slash at its end.
    ///
    /// `port` is the one really bound, which the setting leaves open when it is 0.
    #[must_use]
    pub fn public_url(&self, port: u16) -> String {
        match &self.server.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://localhost:{port}{}", self.server.base_path),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "./data".into(),
            server: Server::default(),
            database: Database::default(),
            storage: Storage::default(),
            tokens: Tokens::default(),
            accounts: Accounts::default(),
            pictures: Pictures::default(),
            limits: Limits::default(),
            log: Log::default(),
        }
    }
}

impl Server {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        let path = &self.base_path;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        check(
            path.is_empty()
                || (path.starts_with('/')
                    && !path.ends_with('/')
                    && !path.contains("//")
                    && path
                        .split('/')
                        .all(|segment| !matches!(segment, "." | ".."))
                    && path.chars().all(plain)),
            "server.base_path",
            format!(
                "{path:?}; allowed: empty, or a path such as \"/douyin\" without a slash at its end"
            ),
        )?;
        if let Some(url) = &self.public_url {
            check_web_url("server.public_url", url)?;
        }
        for origin in &self.allowed_origins {
            let sound = url::Url::parse(origin)
                .is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            check(
                sound,
                "server.allowed_origins",
                format!(
                    "{origin:?}; allowed: origins such as \"https://app.example.com\", without a path; never \"*\""
                ),
            )?;
        }
        check_period("server.header_timeout", self.header_timeout)?;
        check_period("server.body_timeout", self.body_timeout)?;
        check_period("server.body_deadline", self.body_deadline)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10001),
            base_path: String::new(),
            public_url: None,
            allowed_origins: Vec::new(),
            metrics_listen: None,
            trusted_proxies: Vec::new(),
            header_timeout: Period::seconds(10),
            body_timeout: Period::seconds(30),
            body_deadline: Period::seconds(5 * 60),
            body_rate: ByteSize::kib(8),
            shutdown_timeout: Period::seconds(30),
        }
    }
}

impl Database {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        if let Some(url) = &self.url {
            let url = url.expose_secret();
            let server = SERVERS.iter().any(|scheme| path_of(url, scheme).is_some());
            // The text may hold a password, so it is not repeated.
            check(
                path_of(url, SQLITE).is_some() || (server && url::Url::parse(url).is_ok()),
                "database.url",
                format!(
                    "allowed: {SQLITE}PATH, postgres://USER:PASSWORD@HOST/DATABASE, mysql://USER:PASSWORD@HOST/DATABASE"
                ),
            )?;
        }
        check(
            (1..=1000).contains(&self.connections),
            "database.connections",
            format!("{}; allowed: 1 to 1000", self.connections),
        )
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            connections: 16,
        }
    }
}

impl Storage {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        check_period("storage.timeout", self.timeout)?;
        if let Some(url) = &self.public_url {
            check_web_url("storage.public_url", url)?;
        }
        check(
            self.access_key.is_some() == self.secret_key.is_some(),
            "storage.secret_key",
            "storage.access_key and storage.secret_key go together",
        )?;
        let location = self.url.as_deref().map(storage::Location::parse);
        location
            .transpose()
            .map(|_| ())
            .map_err(|what| ("storage.url", what))
    }

    /// How a bucket is asked.
    #[must_use]
    pub fn access(&self) -> storage::Access {
        storage::Access {
            key: self.access_key.clone(),
            secret: self.secret_key.clone(),
            timeout: self.timeout.duration(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            url: None,
            access_key: None,
            secret_key: None,
            public_url: None,
            timeout: Period::seconds(5),
            grace: Period::seconds(24 * 60 * 60),
        }
    }
}

impl Tokens {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        let key = self.key.iter().map(|key| ("tokens.key", key));
        let previous = self.previous_keys.iter();
        for (setting, key) in key.chain(previous.map(|key| ("tokens.previous_keys", key))) {
            let length = key.expose_secret().len();
            check(
                length >= SHORTEST_KEY,
                setting,
                format!("{length} bytes are too short; allowed: {SHORTEST_KEY} bytes or more"),
            )?;
        }
        check_period("tokens.access_ttl", self.access_ttl)?;
        check_period("tokens.refresh_ttl", self.refresh_ttl)?;
        check(
            self.access_ttl <= self.refresh_ttl,
            "tokens.access_ttl",
            format!(
                "{} is longer than tokens.refresh_ttl, {}",
                self.access_ttl, self.refresh_ttl
            ),
        )
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            key: None,
            previous_keys: Vec::new(),
            access_ttl: Period::seconds(15 * 60),
            refresh_ttl: Period::seconds(30 * 24 * 60 * 60),
        }
    }
}

impl Accounts {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        TimeZone::get(&self.time_zone).map_err(|_| {
            let text = format!(
                "{:?}; allowed: a name of the IANA time zone database, such as \"Asia/Shanghai\"",
                self.time_zone
            );
            ("accounts.time_zone", text)
        })?;
        check(
            (4..=20).contains(&self.bcrypt_cost),
            "accounts.bcrypt_cost",
            format!(
                "{}; allowed: 4 to 20 (12 takes a quarter of a second, each step more doubles it)",
                self.bcrypt_cost
            ),
        )
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            time_zone: "Asia/Shanghai".into(),
            bcrypt_cost: 12,
            registration: Registration::Open,
        }
    }
}

impl Pictures {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        check(
            (1024..=1 << 30).contains(&self.max_bytes.0),
            "pictures.max_bytes",
            format!("{}; allowed: 1KiB to 1GiB", self.max_bytes.display().iec()),
        )?;
        check(
            (1..=1 << 32).contains(&self.max_pixels),
            "pictures.max_pixels",
            format!("{}; allowed: 1 to 4294967296", self.max_pixels),
        )?;
        let mut distinct = self.sizes.clone();
        distinct.sort_unstable();
        distinct.dedup();
        check(
            (1..=16).contains(&self.sizes.len())
                && distinct.len() == self.sizes.len()
                && self.sizes.iter().all(|side| (16..=4096).contains(side)),
            "pictures.sizes",
            format!(
                "{:?}; allowed: 1 to 16 different sides of 16 to 4096 pixels",
                self.sizes
            ),
        )?;
        check(
            (1..=100).contains(&self.quality),
            "pictures.quality",
            format!("{}; allowed: 1 to 100", self.quality),
        )?;
        check(
            self.workers <= 1024,
            "pictures.workers",
            format!("{}; allowed: 0 to 1024", self.workers),
        )?;
        check(
            self.queue <= 100_000,
            "pictures.queue",
            format!("{}; allowed: 0 to 100000", self.queue),
        )?;
        check(
            self.memory.0 <= 1 << 40,
            "pictures.memory",
            format!("{}; allowed: up to 1TiB", self.memory.display().iec()),
        )?;
        check_period("pictures.timeout", self.timeout)
    }
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            max_bytes: ByteSize::mib(20),
            max_pixels: 100_000_000,
            sizes: vec![512, 256, 128, 64],
            format: PictureFormat::WebP,
            quality: 80,
            workers: 0,
            queue: 64,
            memory: ByteSize::mib(320),
            timeout: Period::seconds(10),
            sandbox: SandboxNeed::IfOffered,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info,sea_orm_migration=warn".into(),
            format: LogFormat::Text,
        }
    }
}

/// The path in a URL such as `fs:///var/lib/veraicon` or `sqlite://./data/veraicon.db`.
fn path_of<'url>(url: &'url str, scheme: &str) -> Option<&'url Path> {
    let path = url.strip_prefix(scheme)?;
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    (!path.is_empty()).then(|| Path::new(path))
}

fn check(
    sound: bool,
    key: &'static str,
    text: impl Into<String>,
) -> Result<(), (&'static str, String)> {
    if sound {
        Ok(())
    } else {
        Err((key, text.into()))
    }
}

fn check_period(key: &'static str, period: Period) -> Result<(), (&'static str, String)> {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
    check(
        (Duration::from_secs(1)..=TEN_YEARS).contains(&period.duration()),
        key,
        format!("{period}; allowed: one second (\"1s\") to ten years"),
    )
}

fn check_web_url(key: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let sound = url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    check(
        sound,
        key,
        format!("{text:?}; allowed: a URL such as \"https://example.com/pictures\""),
    )
}
