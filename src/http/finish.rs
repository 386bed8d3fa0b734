//! The last step of every request: failures get their words and status, renewed tokens their headers.
//!
//! Handlers do not know which language and which form of errors the client reads. They answer with a [`Failure`],
//! which travels in the response's extensions up to here.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use accept_language::intersection;
use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{ACCESS_TOKEN, REFRESH_TOKEN, answer::Answer};
use crate::{
    auth::token::TokenPair,
    failure::{Failure, FieldProblem, Language},
};

/// RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// New tokens that the answer to this request must carry, whatever else it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Issued(Arc<Mutex<Option<TokenPair>>>);

impl Issued {
    /// Puts the pair on the answer.
    pub(super) fn set(&self, pair: Option<TokenPair>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pair;
    }

    fn take(&self) -> Option<TokenPair> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Runs the request and finishes its answer.
pub(super) async fn finish(mut request: Request, next: Next) -> Response {
    let form = Form::asked_for(request.headers());
    let issued = Issued::default();
    request.extensions_mut().insert(issued.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() {
        if let Failure::Internal(cause) = &*failure {
            tracing::error!(%method, path, %cause, "a request failed");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = form.render(&failure);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(pair) = issued.take() {
        for (name, token) in [
            (&ACCESS_TOKEN, &pair.access),
            (&REFRESH_TOKEN, &pair.refresh),
        ] {
            if let Ok(mut value) = HeaderValue::from_str(token.expose_secret()) {
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// How a client wants failures told.
#[derive(Clone, Copy)]
struct Form {
    language: Language,
    problem: bool,
}

impl Form {
    fn asked_for(headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
                .unwrap_or_default()
        };
        let language = match intersection(text(header::ACCEPT_LANGUAGE), &["zh", "en"])
            .first()
            .map(String::as_str)
        {
            Some("en") => Language::English,
            _ => Language::Chinese,
        };
        let problem = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(accepts_problem);
        Self { language, problem }
    }

    fn render(self, failure: &Failure) -> Response {
        let message = failure.message(self.language);
        let status = true_status(failure);
        let mut response = if self.problem {
            let body = json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or_default(),
                "status": status.as_u16(),
                "detail": message,
                "reason": failure.reason(),
            });
            let mut response = (status, Json(body)).into_response();
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
            response
        } else {
            let status = if is_judgement(failure) {
                StatusCode::OK
            } else {
                status
            };
            (status, Answer::failure(failure.reason(), message)).into_response()
        };
        let status = response.status();
        let headers = response.headers_mut();
        let language = match self.language {
            Language::Chinese => "zh-CN",
            Language::English => "en",
        };
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language));
        headers.insert(
            header::VARY,
            HeaderValue::from_static("accept, accept-language"),
        );
        if let Some(delay) = retry_after(failure) {
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(delay.as_secs().max(1)),
            );
        }
        match status {
            // The rest of the body may never come.
            StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"))
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            _ => None,
        };
        response
    }
}

/// A judgement of what was asked is HTTP 200 in the envelope; what is none keeps its status there too.
fn is_judgement(failure: &Failure) -> bool {
    !matches!(
        failure,
        Failure::NotFound
            | Failure::MethodNotAllowed
            | Failure::RequestTimeout
            | Failure::Busy { .. }
            | Failure::Unavailable
            | Failure::Internal(_)
    )
}

/// The status that HTTP itself has for a failure.
fn true_status(failure: &Failure) -> StatusCode {
    match failure {
        // Well-formed, and refused by a rule that no schema can state.
        Failure::InvalidField {
            problem: FieldProblem::RefusedByPrecis | FieldProblem::TooManyBytes { .. },
            ..
        }
        | Failure::RegistrationClosed => StatusCode::FORBIDDEN,
        Failure::NoFile
        | Failure::SeveralFiles
        | Failure::EmptyFile
        | Failure::InvalidField { .. }
        | Failure::MalformedBody { .. } => StatusCode::BAD_REQUEST,
        Failure::TokenMissing
        | Failure::TokenExpired
        | Failure::TokenInvalid
        | Failure::BadCredentials => StatusCode::UNAUTHORIZED,
        Failure::UserNotFound | Failure::NotFound => StatusCode::NOT_FOUND,
        Failure::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Failure::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Failure::UsernameTaken => StatusCode::CONFLICT,
        Failure::TooLarge { .. } | Failure::BodyTooLarge { .. } | Failure::TooManyPixels { .. } => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        Failure::UnsupportedContentType { .. }
        | Failure::NotAnImage { .. }
        | Failure::UnsupportedFormat { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Failure::ImageTruncated { .. }
        | Failure::ImageDamaged { .. }
        | Failure::TooComplex { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::Busy { .. } | Failure::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn retry_after(failure: &Failure) -> Option<Duration> {
    match failure {
        Failure::Busy { retry_after } => Some(*retry_after),
        Failure::Unavailable => Some(Duration::from_secs(5)),
        _ => None,
    }
}

/// Whether one of the media ranges is that of problem details, and not refused by a weight of zero (RFC 9110, section 12.5.1).
fn accepts_problem(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(PROBLEM));
        let refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|weight| weight.parse() == Ok(0.0));
        named && !refused
    })
}
