//! The location of a store, as a URL.

use std::{fmt, path::PathBuf};

use url::Url;

/// The start of a folder's URL.
const FOLDER: &str = "fs://";
/// The URLs that are allowed.
const ALLOWED: &str =
    "allowed: fs://PATH, or s3://, oss:// or cos:// and BUCKET/PREFIX?endpoint=URL&region=NAME";
/// The region in the signatures for a store without regions. Most S3-compatible servers expect this
/// one.
const NO_REGION: &str = "us-east-1";

/// The location of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageLocation {
    /// A folder on this machine.
    Folder(PathBuf),
    /// A bucket of an object store. All nodes share it.
    Bucket(Bucket),
}

/// A bucket, or the part of it below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The protocol of the store.
    pub provider: Provider,
    /// The name of the bucket.
    pub name: String,
    /// The prefix of all keys, without slashes at its ends. May be empty.
    pub prefix: String,
    /// The URL of the store. If absent, Amazon's.
    pub endpoint: Option<String>,
    /// The region that requests are signed for. Only for S3.
    pub region: String,
    /// Whether the name of the bucket is part of the host name. Only for S3.
    pub virtual_host: bool,
}

/// The protocol of an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon S3, Ceph, MinIO, Garage and many more.
    S3,
    /// Alibaba Cloud OSS.
    Oss,
    /// Tencent Cloud COS.
    Cos,
}

impl StorageLocation {
    /// Parses a URL.
    ///
    /// # Errors
    /// The URL is invalid. The message says why, lists what is allowed, and contains no user name
    /// or password.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(FOLDER) {
            return if path.is_empty() {
                Err(format!("the path is missing; {ALLOWED}"))
            } else {
                Ok(Self::Folder(path.into()))
            };
        }
        let url = Url::parse(text).map_err(|error| format!("{error}; {ALLOWED}"))?;
        Bucket::parse(&url)
            .map(Self::Bucket)
            .map_err(|problem| format!("{problem}; {ALLOWED}"))
    }
}

impl fmt::Display for StorageLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(formatter, "{FOLDER}{}", path.display()),
            Self::Bucket(bucket) => bucket.fmt(formatter),
        }
    }
}

impl Bucket {
    fn parse(url: &Url) -> Result<Self, String> {
        let provider = match url.scheme() {
            "s3" => Provider::S3,
            "oss" => Provider::Oss,
            "cos" => Provider::Cos,
            other => return Err(format!("{other:?} is not a known kind of store")),
        };
        // URLs appear in logs and on the screen, so they must not contain secrets.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "credentials belong in storage.access_key and storage.secret_key, not here".into(),
            );
        }
        // Other characters would be percent-encoded here and not by all stores.
        let is_plain = |text: &str, more: &str| {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            text.chars().all(is_allowed)
        };
        let name = url.host_str().unwrap_or_default();
        if name.is_empty() || url.port().is_some() || !is_plain(name, ".-_") {
            return Err("the name of the bucket is missing or invalid".into());
        }
        let prefix = url.path().trim_matches('/');
        let is_segment = |part: &str| !matches!(part, "" | "." | "..");
        let is_valid = is_plain(prefix, "/.-_") && prefix.split('/').all(is_segment);
        if !(prefix.is_empty() || is_valid) {
            return Err(format!("{prefix:?} is not a valid prefix"));
        }
        let mut bucket = Self {
            provider,
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: NO_REGION.to_owned(),
            virtual_host: false,
        };
        let mut has_region = false;
        for (key, value) in url.query_pairs() {
            match &*key {
                "endpoint" => bucket.endpoint = Some(endpoint(&value)?),
                "region" if provider == Provider::S3 => {
                    has_region = true;
                    bucket.region = value.into_owned();
                }
                "virtual_host" if provider == Provider::S3 => {
                    let value = value.parse();
                    bucket.virtual_host =
                        value.map_err(|_| "virtual_host must be true or false".to_owned())?;
                }
                _ => {
                    return Err(format!(
                        "parameter {key:?} is not known for {}",
                        url.scheme()
                    ));
                }
            }
        }
        // Without an endpoint, Amazon's is derived from the region. The other providers have no
        // such rule.
        if bucket.endpoint.is_none() && !(provider == Provider::S3 && has_region) {
            return Err(match provider {
                Provider::S3 => "one of the parameters region and endpoint is required",
                Provider::Oss | Provider::Cos => "the parameter endpoint is required",
            }
            .into());
        }
        Ok(bucket)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.provider {
            Provider::S3 => "s3",
            Provider::Oss => "oss",
            Provider::Cos => "cos",
        };
        write!(formatter, "{scheme}://{}/{}", self.name, self.prefix)
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    let invalid = || {
        "endpoint must be an http:// or https:// URL without user name, password and query"
            .to_owned()
    };
    let url = Url::parse(text).map_err(|_| invalid())?;
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
        return Err(invalid());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
