//! Accounts: register, log in and out, information, password, deletion.

use axum::{
    extract::{FromRequestParts, Query, State},
    http::{HeaderMap, header, request::Parts},
};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    answer::Answer,
    caller::{Caller, Tokens},
    client_address::ClientAddress,
    fields::Fields,
    finish::Issued,
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
    mut fields: Fields,
) -> Result<Answer, Failure> {
    let (username, password) = (fields.take("username")?, fields.take("password")?);
    let user = app
        .accounts
        .register(username.expose_secret(), &password, address)
        .await?;
    Answer::user(&app, &user)
}

/// `POST /user/login`
pub(super) async fn login(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    issued: IssuedSlot,
    mut fields: Fields,
) -> Result<Answer, Failure> {
    let (username, password) = (fields.take("username")?, fields.take("password")?);
    let user = app
        .accounts
        .authenticate(username.expose_secret(), &password, address)
        .await?;
    begin_session(&app, &user, &headers, &issued).await
}

/// `POST /user/refresh`
pub(super) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    issued: IssuedSlot,
) -> Result<Answer, Failure> {
    let refresh = Tokens::of(&headers).refresh.ok_or(Failure::TokenMissing)?;
    let caller = app.sessions.verify_refresh(&refresh).await?;
    let renewal = caller.pending_rotation.ok_or(Failure::TokenInvalid)?;
    let pair = app.sessions.rotate(renewal).await?;
    answer_with_tokens(&app, &caller.user, pair, &issued)
}

/// `POST /user/logout`
pub(super) async fn logout(
    State(app): State<App>,
    issued: IssuedSlot,
    Caller(caller): Caller,
) -> Result<Answer, Failure> {
    app.sessions.end(caller.session).await?;
    // Tokens of a session that has just ended are of no use to anyone.
    issued.clear();
    Ok(Answer::empty())
}

/// The query of [`info`]. Some clients send a parameter that they leave out as an empty one.
#[derive(Deserialize)]
pub(super) struct InfoQuery {
    user_id: Option<String>,
}

/// `GET /user/info?user_id=`
pub(super) async fn info(
    State(app): State<App>,
    Caller(caller): Caller,
    query: Result<Query<InfoQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Answer, Failure> {
    let invalid = || Failure::InvalidField {
        field: "user_id",
        problem: FieldProblem::NotAWholeNumber,
    };
    let Query(query) = query.map_err(|_| invalid())?;
    match query.user_id.filter(|id| !id.is_empty()) {
        None => Answer::user(&app, &caller.user),
        Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number too large for an identifier is nobody's.
            let id = id.parse().map_err(|_| Failure::UserNotFound)?;
            Answer::user(&app, &app.accounts.find(id).await?)
        }
        Some(_) => Err(invalid()),
    }
}

/// `PUT /user/password`
pub(super) async fn change_password(
    State(app): State<App>,
    Caller(caller): Caller,
    headers: HeaderMap,
    issued: IssuedSlot,
    mut fields: Fields,
) -> Result<Answer, Failure> {
    let (old, new) = (fields.take("old_password")?, fields.take("new_password")?);
    let user = app
        .accounts
        .change_password(&caller.user, &old, &new)
        .await?;
    // All sessions have ended. The one who knows the new password need not log in again.
    begin_session(&app, &user, &headers, &issued).await
}

/// `DELETE /user`
pub(super) async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    issued: IssuedSlot,
) -> Result<Answer, Failure> {
    let user = app.avatars.delete_account(caller.user.id).await?;
    issued.clear();
    Answer::user(&app, &user)
}

/// `DELETE /user/avatar`
pub(super) async fn remove_avatar(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<Answer, Failure> {
    let user = app.avatars.remove(caller.user.id).await?;
    Answer::user(&app, &user)
}

/// Where a handler leaves new tokens for the answer's headers.
pub(super) struct IssuedSlot(Issued);

impl IssuedSlot {
    /// Puts no tokens on the answer: their session has ended.
    pub(super) fn clear(&self) {
        self.0.clear();
    }
}

impl FromRequestParts<App> for IssuedSlot {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Failure> {
        Ok(Self(
            parts
                .extensions
                .get::<Issued>()
                .cloned()
                .unwrap_or_default(),
        ))
    }
}

async fn begin_session(
    app: &App,
    user: &User,
    headers: &HeaderMap,
    issued: &IssuedSlot,
) -> Result<Answer, Failure> {
    let user_agent = headers.get(header::USER_AGENT);
    let user_agent = user_agent.map_or_else(Default::default, |text| {
        String::from_utf8_lossy(text.as_bytes())
    });
    let pair = app.sessions.begin(user, &user_agent).await?;
    answer_with_tokens(app, user, pair, issued)
}

fn answer_with_tokens(
    app: &App,
    user: &User,
    pair: TokenPair,
    issued: &IssuedSlot,
) -> Result<Answer, Failure> {
    let answer = Answer::user(app, user)?.with_tokens(&pair);
    issued.0.set(pair);
    Ok(answer)
}
