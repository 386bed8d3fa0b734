//! Reading bodies: in time, and no more of them than is wanted.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::try_unfold};
use tokio::time::{Instant, timeout};

use crate::{app::App, failure::Failure};

/// The media type of a request's body, in lower case and without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    text.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// The length that a request says its body has.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The pieces of a body, as they arrive.
///
/// Fails with [`Failure::RequestTimeout`] where the client pauses too long or takes too long in all, and with what
/// `too_large` makes where there are more than `limit` bytes.
pub(super) fn pieces(
    app: &App,
    request: Request,
    limit: u64,
    too_large: impl Fn() -> Failure + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Failure>> + Send + 'static {
    let pause = app.config.server.body_timeout.duration();
    let end = Instant::now() + app.config.server.body_deadline.duration();
    let state = (
        Body::into_data_stream(request.into_body()),
        limit,
        too_large,
    );
    try_unfold(state, move |(mut body, left, too_large)| async move {
        let patience = pause.min(end.saturating_duration_since(Instant::now()));
        let piece = match timeout(patience.max(Duration::from_millis(1)), body.next()).await {
            Err(_) => return Err(Failure::RequestTimeout),
            Ok(None) => return Ok(None),
            // The client broke off, or broke the rules of HTTP: either way it is told, where it still listens.
            Ok(Some(Err(_))) => return Err(Failure::MalformedBody { expected: "HTTP" }),
            Ok(Some(Ok(piece))) => piece,
        };
        match left.checked_sub(piece.len() as u64) {
            None => Err(too_large()),
            Some(left) => Ok(Some((piece, (body, left, too_large)))),
        }
    })
}

/// A whole small body.
pub(super) async fn whole(app: &App, request: Request, limit: u64) -> Result<Vec<u8>, Failure> {
    let too_large = move || Failure::BodyTooLarge { limit };
    let mut pieces = std::pin::pin!(pieces(app, request, limit, too_large));
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// The parts of a multipart form.
///
/// # Errors
/// [`Failure::UnsupportedContentType`], and [`Failure::MalformedBody`] without a boundary.
pub(super) fn multipart(
    headers: &HeaderMap,
    pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
) -> Result<multer::Multipart<'static>, Failure> {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if media_type(headers) != MULTIPART {
        return Err(Failure::UnsupportedContentType {
            expected: MULTIPART,
        });
    }
    let boundary = multer::parse_boundary(text).map_err(|_| Failure::MalformedBody {
        expected: "multipart/form-data; boundary=…",
    })?;
    Ok(multer::Multipart::new(pieces, boundary))
}

/// RFC 7578.
pub(super) const MULTIPART: &str = "multipart/form-data";

/// A fault of the form, or the failure that ended its body.
pub(super) fn multipart_failure(error: multer::Error) -> Failure {
    match error {
        multer::Error::StreamReadFailed(error) => match error.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(_) => Failure::MalformedBody {
                expected: MULTIPART,
            },
        },
        _ => Failure::MalformedBody {
            expected: MULTIPART,
        },
    }
}
