//! Handlers that serve pictures and redirect to a user's current picture.

use axum::{
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch, IfRange};
use hyper::body::{Body, Incoming};
use serde::Deserialize;

use super::{error::HttpError, header_names::NOSNIFF};
use crate::{
    app::App,
    failure::{Failure, FieldProblem},
    storage::CACHE_CONTROL_IMMUTABLE,
};

/// `GET /avatars/{user}/{name}/{file}`
pub(super) async fn serve(
    State(app): State<App>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, HttpError> {
    let Path((user, name, file)) = path.map_err(|_| HttpError::NotFound)?;
    let user = parse_canonical(&user).ok_or(HttpError::NotFound)?;
    let (size, extension) = file.split_once('.').ok_or(HttpError::NotFound)?;
    let size = parse_canonical(size)
        .and_then(|size| u32::try_from(size).ok())
        .ok_or(HttpError::NotFound)?;
    if extension != app.policy.format.extension() {
        return Err(HttpError::NotFound);
    }
    let bytes = app.avatars.get(user, &name, size).await?;
    let bytes = bytes.ok_or(HttpError::NotFound)?;
    let tag = entity_tag(&name, size).ok_or_else(|| {
        Failure::internal(format!("picture name {name:?} cannot be an entity tag"))
    })?;
    let media_type = app.policy.format.media_type();
    Ok(respond(&method, &request, bytes, &tag, media_type))
}

/// Serves a picture from the cache, without the router and its middleware.
///
/// Most requests are for such pictures. The response is the same as that of [`serve`]. Returns
/// `None` if the router must handle the request.
pub(crate) async fn serve_cached(
    app: &App,
    request: &hyper::Request<Incoming>,
) -> Option<Response> {
    let server = &app.config.server;
    // With CORS, the middleware adds headers. With a body, the body must be drained.
    let is_simple = request.method() == Method::GET && request.body().is_end_stream();
    if !is_simple || !server.allowed_origins.is_empty() {
        return None;
    }
    let path = request.uri().path().strip_prefix(&*server.base_path)?;
    // The cache's key is the object's key, and the URL's path after the base path equals it.
    let object = path.strip_prefix('/')?;
    let bytes = app.avatars.cached(object).await?;
    let (rest, file) = object.rsplit_once('/')?;
    let (_, name) = rest.rsplit_once('/')?;
    let size = file.split_once('.')?.0.parse().ok()?;
    let (tag, media_type) = (entity_tag(name, size)?, app.policy.format.media_type());
    let mut response = respond(request.method(), request.headers(), bytes, &tag, media_type);
    let (header, value) = NOSNIFF;
    response.headers_mut().insert(header, value);
    tracing::debug!(
        method = %request.method(),
        path,
        status = response.status().as_u16(),
        "request answered from the cache"
    );
    Some(response)
}

/// Makes the entity tag of a picture. It is strong, because a URL's bytes never change.
fn entity_tag(name: &str, size: u32) -> Option<ETag> {
    format!("\"{name}-{size}\"").parse().ok()
}

/// The query of [`redirect`].
#[derive(Deserialize)]
pub(super) struct RedirectQuery {
    size: Option<String>,
}

/// `GET /user/{id}/avatar?size=`
///
/// Redirects to the smallest size that is not below the requested one, or to the largest size.
pub(super) async fn redirect(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<RedirectQuery>, QueryRejection>,
) -> Result<Response, HttpError> {
    let invalid = || Failure::InvalidField {
        field: "size",
        problem: FieldProblem::NotAWholeNumber,
    };
    let Query(query) = query.map_err(|_| invalid())?;
    let min_size = match query.size.filter(|size| !size.is_empty()) {
        Some(size) => Some(parse_canonical(&size).ok_or_else(invalid)?),
        None => None,
    };
    let Path(id) = path.map_err(|_| HttpError::NotFound)?;
    let id = parse_canonical(&id).ok_or(HttpError::NotFound)?;
    let user = app
        .accounts
        .find(id)
        .await
        .map_err(|failure| match failure {
            // This URL is used in `<img>`, so a missing user must be a real 404.
            Failure::UserNotFound => HttpError::NotFound,
            other => other.into(),
        })?;
    let urls = app.avatars.urls(&user);
    let large_enough = urls
        .iter()
        .rev()
        .find(|avatar| min_size.is_some_and(|min| i64::from(avatar.size) >= min));
    let avatar = large_enough.or(urls.first()).ok_or(HttpError::NotFound)?;
    let location = HeaderValue::from_str(&avatar.url).map_err(Failure::internal)?;
    let headers = [
        (header::LOCATION, location),
        // Caches may store the redirect, but must revalidate it: the picture may change.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// Makes the response: the picture, a range of it, 304, 412 or 416 (RFC 9110, sections 13 and 14).
fn respond(
    method: &Method,
    request: &HeaderMap,
    bytes: Bytes,
    tag: &ETag,
    media_type: &'static str,
) -> Response {
    let fails = request
        .typed_get::<IfMatch>()
        .is_some_and(|condition| !condition.precondition_passes(tag));
    let unchanged = request
        .typed_get::<IfNoneMatch>()
        .is_some_and(|condition| !condition.precondition_passes(tag));
    let range = (method == Method::GET)
        .then(|| request.get(header::RANGE))
        .flatten();
    let range = range.filter(|_| {
        let condition = request.typed_get::<IfRange>();
        condition.is_none_or(|condition| !condition.is_modified(Some(tag), None))
    });
    let mut response = if fails {
        StatusCode::PRECONDITION_FAILED.into_response()
    } else if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let response = range_response(&bytes, range).unwrap_or_else(|| bytes.into_response());
        let content_type = HeaderValue::from_static(media_type);
        with_header(response, header::CONTENT_TYPE, content_type)
    };
    let headers = response.headers_mut();
    headers.typed_insert(tag.clone());
    for (name, value) in [
        (header::CACHE_CONTROL, CACHE_CONTROL_IMMUTABLE),
        (header::ACCEPT_RANGES, "bytes"),
        // The bytes stay harmless even if a browser would render them as a document.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Makes the response to a `Range` header: 206 or 416 (RFC 9110, section 14.2).
///
/// Returns `None` if the whole picture is the response: without a range, with several ranges, with
/// another unit than bytes, and with a malformed range. [`headers::Range`] cannot be used here: it
/// returns nothing both for a malformed range and for a suffix longer than the picture.
fn range_response(bytes: &Bytes, range: Option<&HeaderValue>) -> Option<Response> {
    let (first, last) = range?
        .to_str()
        .ok()?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let length = bytes.len();
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Only a number that is too large fails here. It is beyond the end of any picture.
        digits.then(|| text.parse().unwrap_or(usize::MAX))
    };
    let (start, end) = match (first, last) {
        ("", last) => (length.saturating_sub(number(last)?), length),
        (first, "") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (last >= first).then_some((first, last.saturating_add(1).min(length)))?
        }
    };
    let (response, range) = if start < end {
        let response = (StatusCode::PARTIAL_CONTENT, bytes.slice(start..end)).into_response();
        (response, format!("bytes {start}-{}/{length}", end - 1))
    } else {
        (
            StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
            format!("bytes */{length}"),
        )
    };
    let range = HeaderValue::from_str(&range).ok()?;
    Some(with_header(response, header::CONTENT_RANGE, range))
}

fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

/// Parses a number without sign and leading zeros, so that each picture has exactly one URL.
fn parse_canonical(text: &str) -> Option<i64> {
    let is_canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_canonical.then(|| text.parse().ok()).flatten()
}
