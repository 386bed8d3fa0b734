//! The metrics endpoint. It has a listener of its own, so that a proxy cannot publish it.

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use crate::metrics::{MEDIA_TYPE, Metrics};

/// Serves `GET /metrics` until the process ends.
pub async fn serve(listener: TcpListener, metrics: Metrics) {
    let text = async |State(metrics): State<Metrics>| {
        ([(header::CONTENT_TYPE, MEDIA_TYPE)], metrics.text()).into_response()
    };
    let router = Router::new()
        .route("/metrics", get(text))
        .with_state(metrics);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the metrics endpoint has stopped");
    }
}
