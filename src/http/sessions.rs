//! The caller's own sessions.

use axum::extract::{Path, State, rejection::PathRejection};
use serde::Serialize;

use super::{
    account::IssuedSlot,
    answer::{Answer, format_time},
    caller::Caller,
};
use crate::{app::App, database::Session, failure::Failure};

/// A session as its owner sees it.
#[derive(Serialize)]
struct SessionBody {
    id: String,
    user_agent: String,
    current: bool,
    created_at: String,
    last_used_at: String,
    expires_at: String,
}

/// `GET /user/sessions`
pub(super) async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<Answer, Failure> {
    let sessions = app.sessions.list(caller.user.id).await?;
    let bodies = sessions
        .into_iter()
        .map(|session| SessionBody::new(&app, session, caller.session));
    Answer::data(&bodies.collect::<Vec<_>>())
}

/// `DELETE /user/sessions/{id}`
pub(super) async fn end(
    State(app): State<App>,
    Caller(caller): Caller,
    issued: IssuedSlot,
    path: Result<Path<String>, PathRejection>,
) -> Result<Answer, Failure> {
    let Path(id) = path.map_err(|_| Failure::SessionNotFound)?;
    // What is no identifier is nobody's.
    let id = id.parse().map_err(|_| Failure::SessionNotFound)?;
    app.sessions.end_own(caller.user.id, id).await?;
    if id == caller.session {
        issued.clear();
    }
    Ok(Answer::empty())
}

impl SessionBody {
    fn new(app: &App, session: Session, current: i64) -> Self {
        Self {
            id: session.id.to_string(),
            user_agent: session.user_agent,
            current: session.id == current,
            created_at: format_time(app, session.created_at),
            last_used_at: format_time(app, session.last_used_at),
            expires_at: format_time(app, session.expires_at),
        }
    }
}
