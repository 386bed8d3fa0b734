//! The last step of every request: failures get their words and status, renewed tokens their headers.
//!
//! Handlers do not know which language and which form of errors the client reads. They answer with a [`Failure`],
//! which travels in the response's extensions up to here.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{ACCESS_TOKEN, NOSNIFF, REFRESH_TOKEN, answer::Answer};
use crate::{
    app::App,
    auth::{session::PendingRotation, token::TokenPair},
    failure::{Failure, FieldProblem, Language},
};

/// RFC 9457.
const PROBLEM: &str = "application/problem+json";

/// New tokens that the answer to this request must carry, whatever else it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Issued(Arc<Mutex<Due>>);

#[derive(Debug, Default)]
enum Due {
    #[default]
    Nothing,
    /// To be handed out when the rest of the answer is known.
    Renewal(PendingRotation),
    Pair(TokenPair),
}

impl Issued {
    /// Puts the pair on the answer.
    pub(super) fn set(&self, pair: TokenPair) {
        self.replace(Due::Pair(pair));
    }

    /// Puts what the renewal yields on the answer.
    pub(super) fn renew(&self, renewal: PendingRotation) {
        self.replace(Due::Renewal(renewal));
    }

    /// Puts no tokens on the answer: their session has ended.
    pub(super) fn clear(&self) {
        self.replace(Due::Nothing);
    }

    fn replace(&self, due: Due) -> Due {
        std::mem::replace(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            due,
        )
    }

    async fn hand_out(&self, app: &App) -> Option<TokenPair> {
        match self.replace(Due::Nothing) {
            Due::Nothing => None,
            Due::Pair(pair) => Some(pair),
            Due::Renewal(renewal) => match app.sessions.rotate(renewal).await {
                Ok(pair) => Some(pair),
                // The request itself ended the session, or another did.
                Err(Failure::TokenInvalid) => None,
                Err(failure) => {
                    tracing::error!(?failure, "new tokens could not be handed out");
                    None
                }
            },
        }
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
pub(super) async fn finish(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let form = Form::asked_for(request.headers());
    let issued = Issued::default();
    request.extensions_mut().insert(issued.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() {
        match (&*failure, failure.cause()) {
            // A refusal that passes by itself is no fault of the service.
            (Failure::Busy { .. }, Some(cause)) => {
                tracing::warn!(%method, path, %cause, "request refused: busy");
            }
            (_, Some(cause)) => tracing::error!(%method, path, %cause, "request failed"),
            (_, None) => {}
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = form.render(&failure);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    let pair = issued.hand_out(&app).await;
    let headers = response.headers_mut();
    let (nosniff, value) = NOSNIFF;
    headers.insert(nosniff, value);
    if let Some(pair) = pair {
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
        let languages = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        let language = preferred(languages.unwrap_or_default());
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
            | Failure::RateLimited { .. }
            | Failure::Busy { .. }
            | Failure::Unavailable(_)
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
        Failure::UserNotFound | Failure::SessionNotFound | Failure::NotFound => {
            StatusCode::NOT_FOUND
        }
        Failure::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Failure::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Failure::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
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
        Failure::Busy { .. } | Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn retry_after(failure: &Failure) -> Option<Duration> {
    match failure {
        Failure::Busy { retry_after, .. } | Failure::RateLimited { retry_after } => {
            Some(*retry_after)
        }
        Failure::Unavailable(_) => Some(Duration::from_secs(5)),
        _ => None,
    }
}

/// The language of ours that has the highest weight, the first of them where several do (RFC 9110, section 12.5.4).
fn preferred(accepted: &str) -> Language {
    let mut best = (0.0, Language::default());
    for range in accepted.split(',') {
        let (tag, weight) = weighted(range);
        let language = match tag.split('-').next().unwrap_or_default() {
            primary if primary.eq_ignore_ascii_case("zh") => Language::Chinese,
            primary if primary.eq_ignore_ascii_case("en") => Language::English,
            _ => continue,
        };
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

/// Whether one of the media ranges is that of problem details, and not refused by a weight of zero (RFC 9110, section 12.5.1).
fn accepts_problem(accepted: &str) -> bool {
    accepted.split(',').any(|range| {
        let (name, weight) = weighted(range);
        name.eq_ignore_ascii_case(PROBLEM) && weight > 0.0
    })
}

/// What is accepted, and its weight: 1 where none is given, 0 where it makes no sense (RFC 9110, section 12.4.2).
fn weighted(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
    (
        name,
        if (0.0..=1.0).contains(&weight) {
            weight
        } else {
            0.0
        },
    )
}
