//! A bucket of an object store: credentials, timeouts and retries.

use std::time::Duration;

use opendal::{
    HttpTransporter, OperationContext, Operator,
    layers::{RetryEvent, RetryLayer, TimeoutLayer},
    services::{Cos, Oss, S3},
};
use opendal_http_transport_reqwest::ReqwestTransport;
use secrecy::{ExposeSecret, SecretString};

use super::location::{Bucket, Provider};

/// Number of times that a request is repeated after a temporary error.
const RETRIES: usize = 2;
/// Delay before the first repetition. Doubles, and gets a random part, so that nodes do not repeat
/// at the same time.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// Longest delay before a repetition, without the random part.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// Settings for access to a store.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Credentials of the bucket. If absent, the environment variables and files of the provider
    /// apply.
    pub credentials: Option<BucketCredentials>,
    /// Most time that one request may take. A store that has lost its quorum never answers.
    pub timeout: Duration,
}

/// Credentials of a bucket.
#[derive(Clone, Debug)]
pub struct BucketCredentials {
    /// The public identifier of the key.
    pub access_key: String,
    /// The secret part of the key.
    pub secret_key: SecretString,
}

/// Access to one bucket.
pub(super) struct BucketOperators {
    pub(super) with_retry: Operator,
    pub(super) without_retry: Operator,
}

/// Opens a bucket. Sends no request.
pub(super) fn open(bucket: &Bucket, options: &StorageOptions) -> opendal::Result<BucketOperators> {
    let root = format!("/{}", bucket.prefix);
    let credentials = options.credentials.as_ref();
    let access_key = credentials.map(|credentials| &*credentials.access_key);
    let secret_key = credentials.map(|credentials| credentials.secret_key.expose_secret());
    let endpoint = bucket.endpoint.as_deref();
    let operator = match bucket.provider {
        Provider::S3 => {
            let mut builder = S3::default()
                .root(&root)
                .bucket(&bucket.name)
                .region(&bucket.region);
            if bucket.virtual_host {
                builder = builder.enable_virtual_host_style();
            }
            builder = set_if_some(builder, endpoint, S3::endpoint);
            builder = set_if_some(builder, access_key, S3::access_key_id);
            Operator::new(set_if_some(builder, secret_key, S3::secret_access_key))?
        }
        Provider::Oss => {
            let builder = Oss::default().root(&root).bucket(&bucket.name);
            let builder = set_if_some(builder, endpoint, Oss::endpoint);
            let builder = set_if_some(builder, access_key, Oss::access_key_id);
            Operator::new(set_if_some(builder, secret_key, Oss::access_key_secret))?
        }
        Provider::Cos => {
            let builder = Cos::default().root(&root).bucket(&bucket.name);
            let builder = set_if_some(builder, endpoint, Cos::endpoint);
            let builder = set_if_some(builder, access_key, Cos::secret_id);
            Operator::new(set_if_some(builder, secret_key, Cos::secret_key))?
        }
    };
    // OpenDAL's default HTTP client is global. Its connections break when the runtime that opened
    // them ends, as it does after each test.
    let client = HttpTransporter::new(ReqwestTransport::new(reqwest::Client::new()));
    let operator = operator.with_context(OperationContext::new().with_http_transport(client));
    let timeout = TimeoutLayer::new()
        .with_timeout(options.timeout)
        .with_io_timeout(options.timeout);
    let retry = RetryLayer::new()
        .with_max_times(RETRIES)
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_jitter()
        .with_notify(|event: RetryEvent<'_>| {
            let (operation, error) = (event.op, event.err);
            tracing::warn!(%operation, %error, "a request to the object store failed; trying again");
        });
    // The timeout is the inner layer, so it applies to each attempt and not to all of them
    // together.
    let without_retry = operator.layer(timeout);
    Ok(BucketOperators {
        with_retry: without_retry.clone().layer(retry),
        without_retry,
    })
}

fn set_if_some<B>(builder: B, value: Option<&str>, set: impl FnOnce(B, &str) -> B) -> B {
    match value {
        Some(value) => set(builder, value),
        None => builder,
    }
}
