//! Health checks: liveness and readiness.

use axum::extract::State;
use serde_json::json;

use super::{envelope::Envelope, error::HttpError};
use crate::{app::App, failure::Failure};

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Result<Envelope, HttpError> {
    Envelope::data(&json!({ "status": "live" }))
}

/// `GET /health/ready`: the database and the store answer, and a worker process runs.
pub(super) async fn ready(State(app): State<App>) -> Result<Envelope, HttpError> {
    // Any failure here means "not ready", so a load balancer must get 503 and not 500.
    let processes = app.check_ready().await.map_err(Failure::unavailable)?;
    Envelope::data(&json!({
        "status": "ready",
        "workers": { "processes": processes, "sandbox": app.sandbox },
    }))
}
