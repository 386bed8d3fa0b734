//! Where objects lie, as a URL says it.

use std::{fmt, path::PathBuf};

use url::Url;

/// What a URL of a folder begins with.
const FOLDER: &str = "fs://";
/// What a URL may be.
const ALLOWED: &str =
    "allowed: fs://PATH, or s3://, oss:// or cos:// and BUCKET/PREFIX?endpoint=URL&region=NAME";
/// The region of stores that have none (the one that servers beside Amazon's expect in a signature).
const NO_REGION: &str = "us-east-1";

/// A place for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of an object store, which all nodes share.
    Bucket(Bucket),
}

/// A bucket, or the part of it below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Whose interface it has.
    pub provider: Provider,
    /// Its name.
    pub name: String,
    /// What all keys begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The store's own URL; absent, Amazon's.
    pub endpoint: Option<String>,
    /// The region that requests are signed for; of S3 alone.
    pub region: String,
    /// Whether the bucket's name is part of the host's; of S3 alone.
    pub virtual_host: bool,
}

/// The interface of an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon's, and that of Ceph, MinIO, Garage and many more.
    S3,
    /// Alibaba Cloud's.
    Oss,
    /// Tencent Cloud's.
    Cos,
}

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed. The text never repeats what could be a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(FOLDER) {
            return if path.is_empty() {
                Err(format!("there is no path in it; {ALLOWED}"))
            } else {
                Ok(Self::Folder(path.into()))
            };
        }
        let url = Url::parse(text).map_err(|error| format!("{error}; {ALLOWED}"))?;
        Bucket::parse(&url)
            .map(Self::Bucket)
            .map_err(|what| format!("{what}; {ALLOWED}"))
    }
}

impl fmt::Display for Location {
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
            other => return Err(format!("{other:?} is no kind of store")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("keys go into storage.access_key and storage.secret_key".into());
        }
        let plain = |text: &str, more: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            text.chars().all(known)
        };
        let name = url.host_str().unwrap_or_default();
        if name.is_empty() || url.port().is_some() || !plain(name, ".-_") {
            return Err("it names no bucket".into());
        }
        let prefix = url.path().trim_matches('/');
        let whole = |part: &str| !matches!(part, "" | "." | "..");
        let sound = plain(prefix, "/.-_") && prefix.split('/').all(whole);
        if !(prefix.is_empty() || sound) {
            return Err(format!("{prefix:?} is no prefix"));
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
                        value.map_err(|_| "virtual_host is true or false".to_owned())?;
                }
                _ => return Err(format!("{key:?} is not known")),
            }
        }
        if bucket.endpoint.is_none() && !(provider == Provider::S3 && has_region) {
            return Err(match provider {
                Provider::S3 => "it needs a region, or an endpoint",
                Provider::Oss | Provider::Cos => "it needs an endpoint",
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
    let invalid = || "endpoint is no http:// or https:// URL".to_owned();
    let url = Url::parse(text).map_err(|_| invalid())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(invalid());
    }
    Ok(text.trim_end_matches('/').to_owned())
}
