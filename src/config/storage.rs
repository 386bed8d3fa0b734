//! Where pictures are kept.

use std::path::Path;

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period, check_web_url},
    value::{self, Period},
};
use crate::storage::{Access, Location};

/// Where pictures are kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
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
    /// The most memory for pictures that were shown lately; 0 for none.
    #[serde(deserialize_with = "value::scalar")]
    pub cache: ByteSize,
    /// How long a replaced picture stays.
    #[serde(deserialize_with = "value::scalar")]
    pub grace: Period,
}

impl StorageSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        check_period("storage.timeout", self.timeout)?;
        if let Some(url) = &self.public_url {
            check_web_url("storage.public_url", url)?;
        }
        check(
            self.access_key.is_some() == self.secret_key.is_some(),
            "storage.secret_key",
            "storage.access_key and storage.secret_key go together",
        )?;
        let location = self.url.as_deref().map(Location::parse);
        location
            .transpose()
            .map(|_| ())
            .map_err(|what| ("storage.url", what))
    }

    /// Location of the object store. The default is a folder in `data_dir`.
    pub(super) fn location(&self, data_dir: &Path) -> Result<Location, String> {
        match &self.url {
            Some(url) => Location::parse(url),
            None => Ok(Location::Folder(data_dir.join("objects"))),
        }
    }

    /// How a bucket is asked.
    #[must_use]
    pub fn access(&self) -> Access {
        Access {
            key: self.access_key.clone(),
            secret: self.secret_key.clone(),
            timeout: self.timeout.duration(),
        }
    }
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            url: None,
            access_key: None,
            secret_key: None,
            public_url: None,
            timeout: Period::seconds(5),
            cache: ByteSize::mib(32),
            grace: Period::seconds(24 * 60 * 60),
        }
    }
}
