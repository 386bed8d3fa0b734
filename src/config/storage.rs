//! Section `storage`.

use std::path::Path;

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period, check_web_url},
    value::{self, Period},
};
use crate::storage::{BucketCredentials, StorageLocation, StorageOptions};

/// Object store for the pictures.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    /// URL of the store: `fs://PATH`, or `s3://`, `oss://` or `cos://` with a bucket.
    ///
    /// If absent, a folder in the data directory.
    #[serde(deserialize_with = "value::optional")]
    pub url: Option<String>,
    /// Access key of the bucket. If absent, the provider's own variables and files are used.
    #[serde(deserialize_with = "value::optional")]
    pub access_key: Option<String>,
    /// Secret of `access_key`.
    #[serde(deserialize_with = "value::secret", serialize_with = "value::redacted")]
    pub secret_key: Option<SecretString>,
    /// URL by which clients fetch pictures without the service, such as a CDN's.
    ///
    /// If absent, the service serves them.
    #[serde(deserialize_with = "value::optional")]
    pub public_url: Option<String>,
    /// Time for one request to a bucket. A failed request is repeated twice.
    ///
    /// Also the time that an upload waits for its turn to write.
    #[serde(deserialize_with = "value::scalar")]
    pub timeout: Period,
    /// Memory for recently served pictures. 0 turns the cache off.
    #[serde(deserialize_with = "value::scalar")]
    pub cache: ByteSize,
    /// Time for which a replaced picture stays stored.
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
            "storage.access_key and storage.secret_key must be set together",
        )?;
        let location = self.url.as_deref().map(StorageLocation::parse);
        location
            .transpose()
            .map(|_| ())
            .map_err(|what| ("storage.url", what))
    }

    /// Location of the object store. The default is a folder in `data_dir`.
    pub(super) fn location(&self, data_dir: &Path) -> Result<StorageLocation, String> {
        match &self.url {
            Some(url) => StorageLocation::parse(url),
            None => Ok(StorageLocation::Folder(data_dir.join("objects"))),
        }
    }

    /// Returns the credentials and the timeout for requests to a bucket.
    #[must_use]
    pub fn options(&self) -> StorageOptions {
        let keys = self.access_key.clone().zip(self.secret_key.clone());
        StorageOptions {
            credentials: keys.map(|(access_key, secret_key)| BucketCredentials {
                access_key,
                secret_key,
            }),
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
