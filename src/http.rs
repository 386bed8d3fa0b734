//! Routes, and all that knows of HTTP: status codes, headers, how a body is read and an answer written.

mod account;
mod answer;
mod body;
mod caller;
mod client_address;
mod fields;
mod finish;
mod health;
mod linger;
mod metrics;
mod multipart;
mod openapi;
mod picture;
mod sessions;
mod upload;

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header},
    middleware,
    routing::{delete, get, post, put},
};
use tower::util::option_layer;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};

pub(crate) use self::{
    linger::{Lingering, Waits},
    picture::quick,
};
pub use self::{metrics::serve as serve_metrics, openapi::document as openapi_document};
use crate::{app::App, failure::Failure};

/// Carries an access token, in requests and in answers.
static ACCESS_TOKEN: HeaderName = HeaderName::from_static("access-token");
/// Carries a refresh token, in requests and in answers.
static REFRESH_TOKEN: HeaderName = HeaderName::from_static("refresh-token");

/// On every answer: its type is what it says (Fetch Standard, section 3.6).
const NOSNIFF: (HeaderName, HeaderValue) = (
    header::X_CONTENT_TYPE_OPTIONS,
    HeaderValue::from_static("nosniff"),
);

/// All routes, under the base path.
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
        .fallback(|| async { Failure::NotFound })
        .method_not_allowed_fallback(|| async { Failure::MethodNotAllowed })
        .layer(CatchPanicLayer::custom(|_| {
            axum::response::IntoResponse::into_response(Failure::internal("a handler panicked"))
        }))
        .layer(middleware::from_fn_with_state(app.clone(), finish::finish))
        // A second one, for what lies between.
        .layer(CatchPanicLayer::new())
        .layer(option_layer(cors))
        .with_state(app)
}

/// What browsers let pages of other origins do (Fetch Standard, section 3.3).
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
        .max_age(std::time::Duration::from_secs(60 * 60));
    Some(cors)
}
