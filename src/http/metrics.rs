//! Counts, on a listener of their own: they are nobody's business but the operator's.

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use crate::metrics::{MEDIA_TYPE, Metrics};

/// Answers `GET /metrics` for as long as the process runs.
pub async fn serve(listener: TcpListener, metrics: Metrics) {
    let text = async |State(metrics): State<Metrics>| {
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], metrics.text()).into_response()
    };
    let router = Router::new()
        .route("/metrics", get(text))
        .with_state(metrics);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "counts are not served any more");
    }
}
