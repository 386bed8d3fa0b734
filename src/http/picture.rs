//! Pictures, and the way to a user's present one.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use headers::{ETag, HeaderMapExt, IfNoneMatch, IfRange, Range};
use serde::Deserialize;

use crate::{
    app::App,
    failure::{Failure, FieldProblem},
    storage::PictureKey,
};

/// A URL names its content: what lies under it never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Digits of a SHA-256 in hexadecimal.
const DIGEST_LENGTH: usize = 64;

/// `GET /avatars/{user}/{name}/{file}`
pub(super) async fn serve(
    State(app): State<App>,
    Path((user, name, file)): Path<(String, String, String)>,
    request: HeaderMap,
) -> Result<Response, Failure> {
    let user = identifier(&user).ok_or(Failure::NotFound)?;
    let (size, extension) = file.split_once('.').ok_or(Failure::NotFound)?;
    let size = plain_number(size)
        .and_then(|size| u32::try_from(size).ok())
        .ok_or(Failure::NotFound)?;
    if extension != app.policy.format.extension() {
        return Err(Failure::NotFound);
    }
    let is_digest = name.len() == DIGEST_LENGTH
        && name
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let bytes = if is_digest {
        let key = PictureKey {
            user,
            digest: name.clone(),
        };
        app.storage.get(&key, size, extension).await?
    } else if name == app.default_pictures.name(user) {
        app.default_pictures.get(user, size).await?
    } else {
        None
    };
    let bytes = bytes.ok_or(Failure::NotFound)?;
    let tag = format!("\"{name}-{size}\"")
        .parse::<ETag>()
        .map_err(Failure::internal)?;
    Ok(respond(
        &request,
        bytes,
        &tag,
        app.policy.format.media_type(),
    ))
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
    Path(id): Path<String>,
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
    let id = identifier(&id).ok_or(Failure::NotFound)?;
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
fn respond(request: &HeaderMap, bytes: Bytes, tag: &ETag, media_type: &'static str) -> Response {
    let mut response = match request.typed_get::<IfNoneMatch>() {
        Some(condition) if !condition.precondition_passes(tag) => {
            StatusCode::NOT_MODIFIED.into_response()
        }
        _ => match wanted_part(request, bytes.len() as u64, tag) {
            Part::Whole => bytes.into_response(),
            Part::Nowhere => {
                let range = HeaderValue::from_str(&format!("bytes */{}", bytes.len())).ok();
                let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                response
                    .headers_mut()
                    .extend(range.map(|range| (header::CONTENT_RANGE, range)));
                return response;
            }
            Part::From(start, end) => {
                let range =
                    HeaderValue::from_str(&format!("bytes {start}-{}/{}", end - 1, bytes.len()))
                        .ok();
                let part = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
                let mut response = (StatusCode::PARTIAL_CONTENT, bytes.slice(part)).into_response();
                response
                    .headers_mut()
                    .extend(range.map(|range| (header::CONTENT_RANGE, range)));
                response
            }
        },
    };
    let headers = response.headers_mut();
    headers.typed_insert(tag.clone());
    headers.insert(header::CACHE_CONTROL, IMMUTABLE);
    if response.status() != StatusCode::NOT_MODIFIED {
        let fixed = [
            (header::CONTENT_TYPE, media_type),
            (header::ACCEPT_RANGES, "bytes"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; sandbox",
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "cross-origin",
            ),
        ];
        for (name, value) in fixed {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

enum Part {
    Whole,
    /// From the first byte up to, and not including, the second.
    From(u64, u64),
    /// The range lies outside the picture.
    Nowhere,
}

/// One range is honoured; of several the whole picture is the answer, which is always allowed (RFC 9110, section 14.2).
fn wanted_part(request: &HeaderMap, length: u64, tag: &ETag) -> Part {
    let Some(range) = request.typed_get::<Range>() else {
        return Part::Whole;
    };
    if request
        .typed_get::<IfRange>()
        .is_some_and(|condition| condition.is_modified(Some(tag), None))
    {
        return Part::Whole;
    }
    let ranges: Vec<_> = range.satisfiable_ranges(length).take(2).collect();
    match ranges[..] {
        [] => Part::Nowhere,
        [(start, end)] => {
            use std::ops::Bound::{Excluded, Included, Unbounded};
            let start = match start {
                Included(start) => start,
                Excluded(before) => before + 1,
                Unbounded => 0,
            };
            let end = match end {
                Included(last) => (last + 1).min(length),
                Excluded(end) => end.min(length),
                Unbounded => length,
            };
            if start < end {
                Part::From(start, end)
            } else {
                Part::Nowhere
            }
        }
        _ => Part::Whole,
    }
}

fn identifier(text: &str) -> Option<i64> {
    plain_number(text)
}

/// Digits alone, without a sign and without zeros in front: each picture has one URL.
fn plain_number(text: &str) -> Option<i64> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}
