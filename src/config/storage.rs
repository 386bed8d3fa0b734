//! Where pictures are kept.

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    Period,
    check::{check, check_period, check_web_url},
    value,
};
use crate::storage;

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
    /// The most memory for pictures that were shown lately; 0 for none.
    #[serde(deserialize_with = "value::scalar")]
    pub cache: ByteSize,
    /// How long a replaced picture stays.
    #[serde(deserialize_with = "value::scalar")]
    pub grace: Period,
}

impl Storage {
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
        let location = self.url.as_deref().map(storage::StorageLocation::parse);
        location
            .transpose()
            .map(|_| ())
            .map_err(|what| ("storage.url", what))
    }

    /// Returns the options to open the store with.
    #[must_use]
    pub fn options(&self) -> storage::StorageOptions {
        let keys = self.access_key.clone().zip(self.secret_key.clone());
        storage::StorageOptions {
            credentials: keys.map(|(access_key, secret_key)| storage::BucketCredentials {
                access_key,
                secret_key,
            }),
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
            cache: ByteSize::mib(32),
            grace: Period::seconds(24 * 60 * 60),
        }
    }
}
