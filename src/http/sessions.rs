//! Handlers for the caller's own sessions.

use axum::extract::{Path, State, rejection::PathRejection};
use serde::Serialize;

use super::{
    envelope::{Envelope, format_time},
    error::HttpError,
    tokens::{Authenticated, PendingTokens},
};
use crate::{app::App, database::Session, failure::Failure};

/// A session in a body.
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
    Authenticated(caller): Authenticated,
) -> Result<Envelope, HttpError> {
    let sessions = app.sessions.list(caller.user.id).await?;
    let bodies = sessions
        .into_iter()
        .map(|session| SessionBody::new(&app, session, caller.session));
    Envelope::data(&bodies.collect::<Vec<_>>())
}

/// `DELETE /user/sessions/{id}`
pub(super) async fn end(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    pending_tokens: PendingTokens,
    path: Result<Path<String>, PathRejection>,
) -> Result<Envelope, HttpError> {
    let Path(id) = path.map_err(|_| Failure::SessionNotFound)?;
    // No session has an identifier that is not a number.
    let id = id.parse().map_err(|_| Failure::SessionNotFound)?;
    app.sessions.end_own(caller.user.id, id).await?;
    if id == caller.session {
        pending_tokens.clear();
    }
    Ok(Envelope::empty())
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
