//! A bucket of an object store: how it is reached, and how long anything may take.

use std::time::Duration;

use opendal::{
    HttpTransporter, OperationContext, Operator,
    layers::{RetryEvent, RetryLayer, TimeoutLayer},
    services::{Cos, Oss, S3},
};
use opendal_http_transport_reqwest::ReqwestTransport;
use secrecy::{ExposeSecret, SecretString};

use super::location::{Bucket, Provider};

/// How often a request is made again that failed for a reason which may pass.
const RETRIES: usize = 2;
/// The pause before it is, at first and at most; drawn at random below that, so that nodes do not come all at once.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How a bucket is asked.
#[derive(Clone, Debug)]
pub struct Access {
    /// The identifier of the key; absent, what the provider's own variables and files say.
    pub key: Option<String>,
    /// The key.
    pub secret: Option<SecretString>,
    /// How long one request may take. A store that has lost its quorum answers nothing at all.
    pub timeout: Duration,
}

/// The bucket, asked again where that may help; and asked once.
pub(super) fn open(bucket: &Bucket, asking: &Access) -> opendal::Result<(Operator, Operator)> {
    let root = format!("/{}", bucket.prefix);
    let access = asking.key.as_deref();
    let secret = asking.secret.as_ref().map(ExposeSecret::expose_secret);
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
            builder = given(builder, endpoint, S3::endpoint);
            builder = given(builder, access, S3::access_key_id);
            Operator::new(given(builder, secret, S3::secret_access_key))?
        }
        Provider::Oss => {
            let builder = Oss::default().root(&root).bucket(&bucket.name);
            let builder = given(builder, endpoint, Oss::endpoint);
            let builder = given(builder, access, Oss::access_key_id);
            Operator::new(given(builder, secret, Oss::access_key_secret))?
        }
        Provider::Cos => {
            let builder = Cos::default().root(&root).bucket(&bucket.name);
            let builder = given(builder, endpoint, Cos::endpoint);
            let builder = given(builder, access, Cos::secret_id);
            Operator::new(given(builder, secret, Cos::secret_key))?
        }
    };
    // The library's own client is the whole process's, and its connections end with the runtime that made them.
    let client = HttpTransporter::new(ReqwestTransport::new(reqwest::Client::new()));
    let operator = operator.with_context(OperationContext::new().with_http_transport(client));
    let timeout = TimeoutLayer::new()
        .with_timeout(asking.timeout)
        .with_io_timeout(asking.timeout);
    let retry = RetryLayer::new()
        .with_max_times(RETRIES)
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .with_notify(|event: RetryEvent<'_>| {
            let (operation, error) = (event.op, event.err);
            tracing::warn!(%operation, %error, "the store is asked again");
        });
    let once = operator.layer(timeout);
    Ok((once.clone().layer(retry), once))
}

/// The builder with what is there to be set.
fn given<B>(builder: B, value: Option<&str>, set: impl FnOnce(B, &str) -> B) -> B {
    match value {
        Some(value) => set(builder, value),
        None => builder,
    }
}
