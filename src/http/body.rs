//! Reading bodies: in time, and no more of them than is wanted.

use std::time::Duration;

use axum::{extract::Request, http::HeaderMap};
use headers::{ContentLength, ContentType, HeaderMapExt};
use http_body_util::BodyExt;
use mime::Mime;
use tokio::time::{Instant, timeout};

use super::linger::GiveUp;
use crate::{app::App, failure::Failure};

/// The media type of a request's body.
pub(super) fn media_type(headers: &HeaderMap) -> Option<Mime> {
    headers.typed_get::<ContentType>().map(Mime::from)
}

/// The length that a request says its body has, in bytes.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.typed_get::<ContentLength>().map(|length| length.0)
}

/// Reads a whole body into memory of its own.
///
/// # Errors
/// As [`read`].
pub(super) async fn whole(
    app: &App,
    request: Request,
    limit: u64,
    longest: Duration,
    too_large: impl Fn() -> Failure,
) -> Result<Vec<u8>, Failure> {
    let expected = content_length(request.headers()).unwrap_or(0).min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    read(app, request, limit, longest, too_large, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })
    .await?;
    Ok(bytes)
}

/// Reads a whole body, and hands out each piece as it arrives.
///
/// # Errors
/// [`Failure::RequestTimeout`] where the client pauses too long, is too slow or takes longer than `longest` in all, what
/// `too_large` makes where there are more than `limit` bytes, and what `take` says; the rest is then not read.
pub(super) async fn read(
    app: &App,
    request: Request,
    limit: u64,
    longest: Duration,
    too_large: impl Fn() -> Failure,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let pause = app.config.server.body_timeout.duration();
    let rate = app.config.server.body_rate.0;
    let begun = Instant::now();
    let mut length = 0;
    let give_up = request
        .extensions()
        .get::<GiveUp>()
        .cloned()
        .unwrap_or_default();
    let mut body = request.into_body();
    loop {
        let earned = match rate {
            0 => longest,
            rate => pause + Duration::from_millis(length * 1000 / rate),
        };
        let end = begun + longest.min(earned);
        let patience = pause.min(end.saturating_duration_since(Instant::now()));
        let next = match timeout(patience, body.frame()).await {
            // It lets a piece through that is there already, however late it is.
            Ok(next) if !patience.is_zero() => next,
            _ => {
                give_up.set();
                return Err(Failure::RequestTimeout);
            }
        };
        let Some(frame) = next else {
            return Ok(());
        };
        // The client broke off, or broke the rules of HTTP: either way it is told, where it still listens.
        let frame = frame.map_err(|_| Failure::MalformedBody { expected: "HTTP" })?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        length += piece.len() as u64;
        if length > limit {
            return Err(too_large());
        }
        take(&piece)?;
    }
}
