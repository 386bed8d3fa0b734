//! Pictures, and the way to a user's present one.

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

use super::NOSNIFF;
use crate::{
    app::App,
    digest::Digest,
    failure::{Failure, FieldProblem},
    storage::{CACHE_CONTROL_IMMUTABLE, PictureKey},
};

/// `GET /avatars/{user}/{name}/{file}`
pub(super) async fn serve(
    State(app): State<App>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    method: Method,
    request: HeaderMap,
) -> Result<Response, Failure> {
    let Path((user, name, file)) = path.map_err(|_| Failure::NotFound)?;
    let user = plain_number(&user).ok_or(Failure::NotFound)?;
    let (size, extension) = file.split_once('.').ok_or(Failure::NotFound)?;
    let size = plain_number(size)
        .and_then(|size| u32::try_from(size).ok())
        .ok_or(Failure::NotFound)?;
    if extension != app.policy.format.extension() {
        return Err(Failure::NotFound);
    }
    let bytes = if let Ok(digest) = Digest::parse(&name) {
        let key = PictureKey::new(user, digest);
        app.storage.get_cached(&key, size, extension).await?
    } else if name == app.default_pictures.name(user) {
        app.default_pictures.get(user, size).await?
    } else {
        None
    };
    let bytes = bytes.ok_or(Failure::NotFound)?;
    let tag = tag(&name, size).ok_or_else(|| Failure::internal("a tag that is none"))?;
    let media_type = app.policy.format.media_type();
    Ok(respond(&method, &request, bytes, &tag, media_type))
}

/// The short way to a picture that was shown lately, past the routes and all that surrounds them, to the same answer:
/// most requests are for one. Nothing where it takes the long way.
pub(crate) async fn quick(app: &App, request: &hyper::Request<Incoming>) -> Option<Response> {
    let server = &app.config.server;
    // Pages of other origins are told more, and a body would have to be read.
    let plain = request.method() == Method::GET && request.body().is_end_stream();
    if !plain || !server.allowed_origins.is_empty() {
        return None;
    }
    let path = request.uri().path().strip_prefix(&*server.base_path)?;
    // What is kept has its object's key, which is how its URL ends.
    let object = path.strip_prefix('/')?;
    let bytes = app.storage.cached(object).await?;
    let (rest, file) = object.rsplit_once('/')?;
    let (_, name) = rest.rsplit_once('/')?;
    let size = file.split_once('.')?.0.parse().ok()?;
    let (tag, media_type) = (tag(name, size)?, app.policy.format.media_type());
    let mut response = respond(request.method(), request.headers(), bytes, &tag, media_type);
    let (header, value) = NOSNIFF;
    response.headers_mut().insert(header, value);
    tracing::debug!(method = %request.method(), path, status = response.status().as_u16(), "answered");
    Some(response)
}

fn tag(name: &str, size: u32) -> Option<ETag> {
    format!("\"{name}-{size}\"").parse().ok()
}

/// The query of [`redirect`].
#[derive(Deserialize)]
pub(super) struct RedirectQuery {
    size: Option<String>,
}

/// `GET /user/{id}/avatar?size=`
///
/// Leads to the smallest size that is no smaller than the one asked for, or to the largest.
pub(super) async fn redirect(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<RedirectQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let invalid = || Failure::InvalidField {
        field: "size",
        problem: FieldProblem::NotAWholeNumber,
    };
    let Query(query) = query.map_err(|_| invalid())?;
    let wanted = match query.size.filter(|size| !size.is_empty()) {
        Some(size) => Some(plain_number(&size).ok_or_else(invalid)?),
        None => None,
    };
    let Path(id) = path.map_err(|_| Failure::NotFound)?;
    let id = plain_number(&id).ok_or(Failure::NotFound)?;
    let user = app
        .accounts
        .find(id)
        .await
        .map_err(|failure| match failure {
            Failure::UserNotFound => Failure::NotFound,
            other => other,
        })?;
    let urls = app.avatars.urls(&user);
    let large_enough = urls
        .iter()
        .rev()
        .find(|avatar| wanted.is_some_and(|wanted| i64::from(avatar.size) >= wanted));
    let avatar = large_enough.or(urls.first()).ok_or(Failure::NotFound)?;
    let location = HeaderValue::from_str(&avatar.url).map_err(Failure::internal)?;
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((StatusCode::FOUND, headers).into_response())
}

/// Answers with the whole picture, a part of it, or word that the client has it already (RFC 9110, sections 13 and 14).
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
        let response = part(&bytes, range).unwrap_or_else(|| bytes.into_response());
        let content_type = HeaderValue::from_static(media_type);
        with_header(response, header::CONTENT_TYPE, content_type)
    };
    let headers = response.headers_mut();
    headers.typed_insert(tag.clone());
    for (name, value) in [
        (header::CACHE_CONTROL, CACHE_CONTROL_IMMUTABLE),
        (header::ACCEPT_RANGES, "bytes"),
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

/// The part that a range names: nothing where the whole is the answer, as it may be to several ranges and must be to
/// what is no range of bytes (RFC 9110, section 14.2).
fn part(bytes: &Bytes, range: Option<&HeaderValue>) -> Option<Response> {
    let (first, last) = range?
        .to_str()
        .ok()?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let length = bytes.len();
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number too large for the machine lies beyond any picture's end.
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

/// Digits alone, without a sign and without zeros in front: each picture has one URL.
fn plain_number(text: &str) -> Option<i64> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
