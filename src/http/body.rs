//! Reads request bodies, with limits on size, time and rate.

use std::time::Duration;

use axum::{extract::Request, http::HeaderMap};
use headers::{ContentLength, ContentType, HeaderMapExt};
use http_body_util::BodyExt;
use mime::Mime;
use tokio::time::{Instant, timeout};

use super::{drain::SkipDrain, error::HttpError};
use crate::app::App;

/// Returns the media type of a request's body.
pub(super) fn media_type(headers: &HeaderMap) -> Option<Mime> {
    headers.typed_get::<ContentType>().map(Mime::from)
}

/// Returns the declared length of a request's body, in bytes.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.typed_get::<ContentLength>().map(|length| length.0)
}

/// Reads a whole body into a vector.
///
/// # Errors
/// See [`read`].
pub(super) async fn read_to_vec(
    app: &App,
    request: Request,
    limit: u64,
    max_duration: Duration,
    too_large: impl Fn() -> HttpError,
) -> Result<Vec<u8>, HttpError> {
    let expected = content_length(request.headers()).unwrap_or(0).min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    read(app, request, limit, max_duration, too_large, |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })
    .await?;
    Ok(bytes)
}

/// Reads a whole body and passes each chunk to `consume`. After an error, the rest is not read.
///
/// # Errors
/// - [`HttpError::RequestTimeout`] if the client pauses longer than `server.body_timeout`, sends
///   slower than `server.body_rate`, or needs more than `max_duration` in total.
/// - [`HttpError::MalformedBody`] if the connection breaks or the chunked coding is invalid.
/// - The result of `too_large` if the body has more than `limit` bytes.
/// - The error of `consume`.
pub(super) async fn read(
    app: &App,
    request: Request,
    limit: u64,
    max_duration: Duration,
    too_large: impl Fn() -> HttpError,
    mut consume: impl FnMut(&[u8]) -> Result<(), HttpError>,
) -> Result<(), HttpError> {
    let max_pause = app.config.server.body_timeout.duration();
    let min_rate = app.config.server.body_rate.0;
    let started = Instant::now();
    let mut length = 0;
    let skip_drain = request
        .extensions()
        .get::<SkipDrain>()
        .cloned()
        .unwrap_or_default();
    let mut body = request.into_body();
    loop {
        // The bytes that have arrived extend the deadline: `min_rate` bytes by one second.
        let allowed = match min_rate {
            0 => max_duration,
            rate => max_pause + Duration::from_millis(length * 1000 / rate),
        };
        let deadline = started + max_duration.min(allowed);
        let remaining = max_pause.min(deadline.saturating_duration_since(Instant::now()));
        let next = match timeout(remaining, body.frame()).await {
            // `timeout` polls the body first: even after the deadline it returns a waiting chunk.
            Ok(next) if !remaining.is_zero() => next,
            _ => {
                // The client is slow or gone: draining its body would only hold the connection.
                skip_drain.set();
                return Err(HttpError::RequestTimeout);
            }
        };
        let Some(frame) = next else {
            return Ok(());
        };
        // If the client only closed its sending half, it can still read this error.
        let frame = frame.map_err(|_| HttpError::MalformedBody { expected: "HTTP" })?;
        // Trailers are ignored.
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        length += chunk.len() as u64;
        if length > limit {
            return Err(too_large());
        }
        consume(&chunk)?;
    }
}
