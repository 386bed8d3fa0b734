//! Responses to failed requests, and the middleware that completes all responses.
//!
//! Handlers do not know the language and the format of errors that the client wants. Their response
//! carries the [`HttpError`] in its extensions up to [`render_response`].

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    envelope::Envelope,
    error::HttpError,
    header_names::NOSNIFF,
    negotiate::{ErrorFormat, PROBLEM_JSON},
    tokens::PendingTokens,
};
use crate::{
    app::App,
    failure::{Failure, FieldProblem, Language},
};

/// Delay before the next attempt if the database or the store is not available.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        // Extensions must be `Clone`, and a failure's cause is not.
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Runs the request, renders its error if there is one, and adds the headers of all responses.
pub(super) async fn render_response(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let format = ErrorFormat::from_headers(request.headers());
    let pending_tokens = PendingTokens::default();
    request.extensions_mut().insert(pending_tokens.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<HttpError>>() {
        if let HttpError::Domain(failure) = &*error {
            match (failure, failure.cause()) {
                // A short overload is expected, so it is not logged as an error.
                (Failure::Busy { .. }, Some(cause)) => {
                    tracing::warn!(%method, path, %cause, "request refused: busy");
                }
                (_, Some(cause)) => tracing::error!(%method, path, %cause, "request failed"),
                (_, None) => {}
            }
        }
        // axum adds `Allow` to the response of `method_not_allowed_fallback`.
        let allow = response.headers_mut().remove(header::ALLOW);
        response = render(&error, format);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    tracing::debug!(%method, path, status = response.status().as_u16(), "request answered");
    let headers = response.headers_mut();
    let (name, value) = NOSNIFF;
    headers.insert(name, value);
    pending_tokens.write_to(headers, &app).await;
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn render(error: &HttpError, format: ErrorFormat) -> Response {
    let message = error.message(format.language);
    let status = http_status(error);
    let mut response = if format.problem_details {
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": message,
            "reason": error.reason(),
        });
        let content_type = [(header::CONTENT_TYPE, PROBLEM_JSON)];
        (status, content_type, Json(body)).into_response()
    } else {
        let status = if uses_envelope_200(error) {
            StatusCode::OK
        } else {
            status
        };
        (status, Envelope::failure(error.reason(), message)).into_response()
    };
    let status = response.status();
    let headers = response.headers_mut();
    let language = match format.language {
        Language::Chinese => "zh-CN",
        Language::English => "en",
    };
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language));
    headers.insert(
        header::VARY,
        HeaderValue::from_static("accept, accept-language"),
    );
    if let Some(delay) = retry_after(error) {
        // The header has whole seconds, and 0 would invite an immediate retry.
        headers.insert(header::RETRY_AFTER, delay.as_secs().max(1).into());
    }
    match status {
        // The rest of the body may never arrive, so the connection cannot be reused.
        StatusCode::REQUEST_TIMEOUT => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"))
        }
        // RFC 9110, section 15.5.2, requires this header in each 401.
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        _ => None,
    };
    response
}

/// Returns true if the envelope reports this error with HTTP status 200.
///
/// The envelope's contract uses 200 for all errors of the request's content. Errors of routing, of
/// load and of the service itself keep their status, so that proxies and monitors see them.
fn uses_envelope_200(error: &HttpError) -> bool {
    !matches!(
        error,
        HttpError::NotFound
            | HttpError::MethodNotAllowed
            | HttpError::RequestTimeout
            | HttpError::Domain(
                Failure::RateLimited { .. }
                    | Failure::Busy { .. }
                    | Failure::Unavailable(_)
                    | Failure::Internal(_)
            )
    )
}

/// Returns the HTTP status of an error.
fn http_status(error: &HttpError) -> StatusCode {
    match error {
        HttpError::NotFound => StatusCode::NOT_FOUND,
        HttpError::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        HttpError::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        HttpError::UnsupportedContentType { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        HttpError::MalformedBody { .. } => StatusCode::BAD_REQUEST,
        HttpError::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        HttpError::Domain(failure) => failure_status(failure),
    }
}

fn failure_status(failure: &Failure) -> StatusCode {
    match failure {
        // JSON Schema can express neither PRECIS nor a length in bytes. A client that follows
        // openapi.json must not get 400, so these two are 403.
        Failure::InvalidField {
            problem: FieldProblem::RefusedByPrecis | FieldProblem::TooManyBytes { .. },
            ..
        }
        | Failure::RegistrationClosed => StatusCode::FORBIDDEN,
        Failure::NoFile
        | Failure::SeveralFiles
        | Failure::EmptyFile
        | Failure::InvalidField { .. } => StatusCode::BAD_REQUEST,
        Failure::TokenMissing
        | Failure::TokenExpired
        | Failure::TokenInvalid
        | Failure::BadCredentials => StatusCode::UNAUTHORIZED,
        Failure::UserNotFound | Failure::SessionNotFound => StatusCode::NOT_FOUND,
        Failure::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Failure::UsernameTaken => StatusCode::CONFLICT,
        Failure::TooLarge { .. } | Failure::TooManyPixels { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Failure::NotAnImage { .. } | Failure::UnsupportedFormat { .. } => {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        }
        Failure::ImageTruncated { .. }
        | Failure::ImageDamaged { .. }
        | Failure::TooComplex { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::Busy { .. } | Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn retry_after(error: &HttpError) -> Option<Duration> {
    match error {
        HttpError::Domain(
            Failure::Busy { retry_after, .. } | Failure::RateLimited { retry_after },
        ) => Some(*retry_after),
        HttpError::Domain(Failure::Unavailable(_)) => Some(UNAVAILABLE_RETRY_AFTER),
        _ => None,
    }
}
