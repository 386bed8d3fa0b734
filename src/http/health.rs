//! Whether the service runs, and whether it can do its work.

use axum::extract::State;
use serde_json::json;

use super::answer::Answer;
use crate::{app::App, failure::Failure};

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Result<Answer, Failure> {
    Answer::data(&json!({ "status": "live" }))
}

/// `GET /health/ready`: database and store answer too, and there are workers.
pub(super) async fn ready(State(app): State<App>) -> Result<Answer, Failure> {
    for outcome in [app.database.ping().await, app.storage.ping().await] {
        outcome.map_err(Failure::unavailable)?;
    }
    let processes = app.workers.alive();
    if processes == 0 {
        return Err(Failure::unavailable("no worker process is running"));
    }
    Answer::data(&json!({
        "status": "ready",
        "workers": { "processes": processes, "sandbox": app.sandbox },
    }))
}
