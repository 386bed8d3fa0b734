//! Health checks: liveness and readiness.

use axum::extract::State;
use serde_json::json;

use super::{envelope::Envelope, error::HttpError};
use crate::app::App;

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Result<Envelope, HttpError> {
    Envelope::data(&json!({ "status": "live" }))
}

/// `GET /health/ready`: the database and the store answer, and a worker process runs.
pub(super) async fn ready(State(app): State<App>) -> Result<Envelope, HttpError> {
    let processes = app.avatars.check_ready().await?;
    Envelope::data(&json!({
        "status": "ready",
        "workers": { "processes": processes, "sandbox": app.sandbox },
    }))
}
