//! The JSON envelope of responses: `base` has the outcome, `data` and `token` have the content.

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, Value};

use super::error::HttpError;
use crate::{
    app::App, auth::token::TokenPair, clock::Milliseconds, database::User, failure::Failure,
};

/// `base.code` of successful requests.
const SUCCESS: i32 = 10000;
/// `base.code` of failed requests.
const FAILURE: i32 = -1;

/// The body of a response.
#[derive(Serialize)]
pub(super) struct Envelope {
    base: Base,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenBody>,
}

#[derive(Serialize)]
struct Base {
    code: i32,
    msg: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Tokens in a body, with the names of RFC 6749, section 5.1.
#[derive(Serialize)]
struct TokenBody {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    expires_in: u64,
}

/// A user in a body. All users see the same fields.
#[derive(Serialize)]
struct UserBody {
    id: String,
    username: String,
    avatar_url: String,
    avatar_urls: Map<String, Value>,
    created_at: String,
    updated_at: String,
    deleted_at: String,
}

impl Envelope {
    /// Reports success without data.
    pub(super) fn empty() -> Self {
        let base = Base {
            code: SUCCESS,
            msg: "success".into(),
            reason: None,
        };
        Self {
            base,
            data: None,
            token: None,
        }
    }

    /// Reports success with a user.
    pub(super) fn user(app: &App, user: &User) -> Result<Self, HttpError> {
        Self::data(&UserBody::new(app, user))
    }

    /// Reports success with data.
    pub(super) fn data(data: &impl Serialize) -> Result<Self, HttpError> {
        let data = serde_json::to_value(data).map_err(Failure::internal)?;
        Ok(Self {
            data: Some(data),
            ..Self::empty()
        })
    }

    /// Adds tokens to the body. The headers carry the same tokens.
    pub(super) fn with_tokens(self, pair: &TokenPair) -> Self {
        let token = TokenBody {
            access_token: pair.access.expose_secret().to_owned(),
            refresh_token: pair.refresh.expose_secret().to_owned(),
            token_type: "Bearer",
            expires_in: pair.access_ttl.duration().as_secs(),
        };
        Self {
            token: Some(token),
            ..self
        }
    }

    /// Reports a failure.
    pub(super) fn failure(reason: &'static str, message: Cow<'static, str>) -> Self {
        let base = Base {
            code: FAILURE,
            msg: message,
            reason: Some(reason),
        };
        Self {
            base,
            data: None,
            token: None,
        }
    }
}

impl IntoResponse for Envelope {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl UserBody {
    fn new(app: &App, user: &User) -> Self {
        let urls = app.avatars.urls(user);
        let time = |time| format_time(app, time);
        Self {
            // JavaScript's numbers lose digits above 2^53, so identifiers are strings.
            id: user.id.to_string(),
            username: user.username.clone(),
            avatar_url: urls
                .first()
                .map(|largest| largest.url.clone())
                .unwrap_or_default(),
            avatar_urls: urls
                .into_iter()
                .map(|avatar| (avatar.size.to_string(), avatar.url.into()))
                .collect(),
            created_at: time(user.created_at),
            updated_at: time(user.updated_at),
            deleted_at: time(user.deleted_at),
        }
    }
}

/// Formats a time as `2026-05-01 08:00:00` in the configured time zone.
///
/// The contract has no null: 1970-01-01 UTC stands for "never".
pub(super) fn format_time(app: &App, time: Milliseconds) -> String {
    let time = Timestamp::from_millisecond(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(app.time_zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}
