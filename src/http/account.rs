//! Handlers for accounts: registration, login, logout, information, password and deletion.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, header},
};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    client_address::ClientAddress,
    envelope::Envelope,
    error::HttpError,
    form_fields::FormFields,
    tokens::{Authenticated, PendingTokens, RequestTokens},
};
use crate::{
    app::App,
    auth::token::TokenPair,
    database::User,
    failure::{Failure, FieldProblem},
};

/// `POST /user/register`
pub(super) async fn register(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    mut fields: FormFields,
) -> Result<Envelope, HttpError> {
    let (username, password) = (fields.take("username")?, fields.take("password")?);
    let user = app
        .accounts
        .register(username.expose_secret(), &password, address)
        .await?;
    Envelope::user(&app, &user)
}

/// `POST /user/login`
pub(super) async fn login(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    pending_tokens: PendingTokens,
    mut fields: FormFields,
) -> Result<Envelope, HttpError> {
    let (username, password) = (fields.take("username")?, fields.take("password")?);
    let user = app
        .accounts
        .authenticate(username.expose_secret(), &password, address)
        .await?;
    begin_session(&app, &user, &headers, &pending_tokens).await
}

/// `POST /user/refresh`
pub(super) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    pending_tokens: PendingTokens,
) -> Result<Envelope, HttpError> {
    let tokens = RequestTokens::from_headers(&headers);
    let refresh = tokens.refresh.ok_or(Failure::TokenMissing)?;
    let identity = app.sessions.verify_refresh(&refresh).await?;
    let rotation = identity.pending_rotation.ok_or(Failure::TokenInvalid)?;
    let pair = app.sessions.rotate(rotation).await?;
    user_with_tokens(&app, &identity.user, pair, &pending_tokens)
}

/// `POST /user/logout`
pub(super) async fn logout(
    State(app): State<App>,
    pending_tokens: PendingTokens,
    Authenticated(caller): Authenticated,
) -> Result<Envelope, HttpError> {
    app.sessions.end(caller.session).await?;
    // The extractor may have set a rotation, but the session has ended.
    pending_tokens.clear();
    Ok(Envelope::empty())
}

/// The query of [`info`].
///
/// An empty parameter counts as absent, because some clients send it that way.
#[derive(Deserialize)]
pub(super) struct InfoQuery {
    user_id: Option<String>,
}

/// `GET /user/info?user_id=`
pub(super) async fn info(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    query: Result<Query<InfoQuery>, QueryRejection>,
) -> Result<Envelope, HttpError> {
    let invalid = || Failure::InvalidField {
        field: "user_id",
        problem: FieldProblem::NotAWholeNumber,
    };
    let Query(query) = query.map_err(|_| invalid())?;
    match query.user_id.filter(|id| !id.is_empty()) {
        None => Envelope::user(&app, &caller.user),
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
            // Only a number that is too large fails here. No user has such an identifier.
            let id = id.parse().map_err(|_| Failure::UserNotFound)?;
            Envelope::user(&app, &app.accounts.find(id).await?)
        }
        Some(_) => Err(invalid().into()),
    }
}

/// `PUT /user/password`
pub(super) async fn change_password(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    pending_tokens: PendingTokens,
    mut fields: FormFields,
) -> Result<Envelope, HttpError> {
    let (old, new) = (fields.take("old_password")?, fields.take("new_password")?);
    let user = app
        .accounts
        .change_password(&caller.user, &old, &new)
        .await?;
    // The change ends all sessions, the caller's too. A new one saves the caller a login.
    begin_session(&app, &user, &headers, &pending_tokens).await
}

/// `DELETE /user`
pub(super) async fn delete(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    pending_tokens: PendingTokens,
) -> Result<Envelope, HttpError> {
    let user = app.avatars.delete_account(caller.user.id).await?;
    pending_tokens.clear();
    Envelope::user(&app, &user)
}

/// `DELETE /user/avatar`
pub(super) async fn remove_avatar(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
) -> Result<Envelope, HttpError> {
    let user = app.avatars.remove(caller.user.id).await?;
    Envelope::user(&app, &user)
}

async fn begin_session(
    app: &App,
    user: &User,
    headers: &HeaderMap,
    pending_tokens: &PendingTokens,
) -> Result<Envelope, HttpError> {
    let user_agent = headers.get(header::USER_AGENT);
    let user_agent = user_agent.map_or_else(Default::default, |text| {
        String::from_utf8_lossy(text.as_bytes())
    });
    let pair = app.sessions.begin(user, &user_agent).await?;
    user_with_tokens(app, user, pair, pending_tokens)
}

fn user_with_tokens(
    app: &App,
    user: &User,
    pair: TokenPair,
    pending_tokens: &PendingTokens,
) -> Result<Envelope, HttpError> {
    let envelope = Envelope::user(app, user)?.with_tokens(&pair);
    pending_tokens.set_pair(pair);
    Ok(envelope)
}
