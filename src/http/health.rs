//! Whether the service runs, and whether it can do its work.

use axum::extract::State;
use serde_json::json;

use super::answer::Answer;
use crate::{app::App, failure::Failure};

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Result<Answer, Failure> {
    Answer::data(&json!({ "status": "live" }))
}

/// `GET /health/ready`: database and store answer too.
pub(super) async fn ready(State(app): State<App>) -> Result<Answer, Failure> {
    for outcome in [app.database.ping().await, app.storage.ping().await] {
        outcome.map_err(|failure| {
            tracing::error!(?failure, "not ready");
            Failure::Unavailable
        })?;
    }
    Answer::data(&json!({ "status": "ready" }))
}
