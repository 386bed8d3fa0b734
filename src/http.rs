//! The HTTP interface: routes, status codes, headers, request bodies and responses.

mod account;
mod body;
mod client_address;
mod drain;
mod envelope;
mod error;
mod error_response;
mod form_fields;
mod header_names;
mod health;
mod metrics;
mod multipart;
mod negotiate;
mod openapi;
mod picture;
mod sessions;
mod tokens;
mod upload;

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderValue, Method, header},
    middleware,
    response::IntoResponse,
    routing::{delete, get, post, put},
};
use tower::util::option_layer;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};

pub(crate) use self::{
    drain::{DrainOnDrop, ExpectContinue},
    picture::serve_cached,
};
use self::{
    error::HttpError,
    header_names::{ACCESS_TOKEN, REFRESH_TOKEN},
};
pub use self::{metrics::serve as serve_metrics, openapi::document as openapi_document};
use crate::{app::App, failure::Failure};

/// Time for which browsers may cache the result of a CORS preflight request.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// Returns the router with all routes, below the configured base path.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/user/register", post(account::register))
        .route("/user/login", post(account::login))
        .route("/user/refresh", post(account::refresh))
        .route("/user/logout", post(account::logout))
        .route("/user/info", get(account::info))
        .route("/user/password", put(account::change_password))
        .route("/user/sessions", get(sessions::list))
        .route("/user/sessions/{id}", delete(sessions::end))
        .route("/user", delete(account::delete))
        .route("/user/avatar", delete(account::remove_avatar))
        .route("/user/avatar/upload", put(upload::upload))
        .route("/user/avatar/policy", get(upload::policy))
        .route("/user/{id}/avatar", get(picture::redirect))
        .route("/avatars/{user}/{name}/{file}", get(picture::serve))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/openapi.json", get(openapi::serve));
    let base_path = app.config.server.base_path.clone();
    let cors = cors(&app.config.server.allowed_origins);
    let router = if base_path.is_empty() {
        routes
    } else {
        Router::new().nest(&base_path, routes)
    };
    router
        .fallback(|| async { HttpError::NotFound })
        .method_not_allowed_fallback(|| async { HttpError::MethodNotAllowed })
        // Inside `render_response`, so that a panic becomes an error response like all others.
        .layer(CatchPanicLayer::custom(|_| {
            HttpError::from(Failure::internal("a handler panicked")).into_response()
        }))
        .layer(middleware::from_fn_with_state(
            app.clone(),
            error_response::render_response,
        ))
        // The first layer of this type does not catch a panic of `render_response`.
        .layer(CatchPanicLayer::new())
        .layer(option_layer(cors))
        .with_state(app)
}

/// Makes the layer that lets pages of other origins use the API (Fetch Standard, section 3.3).
///
/// Returns `None` if no other origins are configured.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok());
    let cors = CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ])
        .allow_headers([
            ACCESS_TOKEN.clone(),
            REFRESH_TOKEN.clone(),
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::ACCEPT_LANGUAGE,
        ])
        .expose_headers([
            ACCESS_TOKEN.clone(),
            REFRESH_TOKEN.clone(),
            header::RETRY_AFTER,
        ])
        .max_age(PREFLIGHT_MAX_AGE);
    Some(cors)
}
