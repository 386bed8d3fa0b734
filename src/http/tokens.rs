//! Tokens in requests and responses.
//!
//! Tokens are checked from the request's head, before the body is read.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    error::HttpError,
    header_names::{ACCESS_TOKEN, REFRESH_TOKEN},
};
use crate::{
    app::App,
    auth::{
        session::{Identity, PendingRotation},
        token::TokenPair,
    },
    failure::Failure,
};

/// The caller of a request that needs a token.
pub(super) struct Authenticated(pub(super) Identity);

impl FromRequestParts<App> for Authenticated {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, HttpError> {
        let tokens = RequestTokens::from_headers(&parts.headers);
        let identity = app
            .sessions
            .authenticate(tokens.access.as_ref(), tokens.refresh.as_ref())
            .await?;
        if let Some(rotation) = identity.pending_rotation {
            PendingTokens::from_parts(parts).set_rotation(rotation);
        }
        Ok(Self(identity))
    }
}

/// The tokens of a request. An empty header counts as absent.
pub(super) struct RequestTokens {
    access: Option<SecretString>,
    pub(super) refresh: Option<SecretString>,
}

impl RequestTokens {
    /// Reads the headers. `Authorization: Bearer` replaces an absent `Access-Token`.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let access = read_token(headers, &ACCESS_TOKEN);
        Self {
            access: access.or_else(|| read_token(headers, &header::AUTHORIZATION)),
            refresh: read_token(headers, &REFRESH_TOKEN),
        }
    }
}

fn read_token(headers: &HeaderMap, name: &HeaderName) -> Option<SecretString> {
    // A value that is not ASCII must be an invalid token, not an absent one. No valid token is `?`.
    let text = headers.get(name)?.to_str().unwrap_or("?").trim();
    let scheme = text
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let token = match scheme {
        Some(scheme) => text[scheme.len()..].trim(),
        // `Authorization` may have another scheme, such as `Basic` for a proxy.
        None if *name == header::AUTHORIZATION => return None,
        None => text,
    };
    (!token.is_empty()).then(|| SecretString::from(token))
}

/// New tokens that the response to this request must carry, also if the response is an error.
///
/// `render_response` puts one into the extensions of each request. Handlers extract and change it.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingTokens(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
enum Pending {
    #[default]
    Nothing,
    Rotation(PendingRotation),
    Pair(TokenPair),
}

impl PendingTokens {
    /// Adds `pair` to the response.
    pub(super) fn set_pair(&self, pair: TokenPair) {
        self.replace(Pending::Pair(pair));
    }

    /// Rotates the refresh token when the handler is done, and adds the new pair to the response.
    fn set_rotation(&self, rotation: PendingRotation) {
        self.replace(Pending::Rotation(rotation));
    }

    /// Adds no tokens to the response. Used when the session has ended.
    pub(super) fn clear(&self) {
        self.replace(Pending::Nothing);
    }

    /// Rotates the refresh token if that is pending, and writes the new tokens to `headers`.
    pub(super) async fn write_to(&self, headers: &mut HeaderMap, app: &App) {
        let Some(pair) = self.take_pair(app).await else {
            return;
        };
        for (name, token) in [
            (&ACCESS_TOKEN, &pair.access),
            (&REFRESH_TOKEN, &pair.refresh),
        ] {
            if let Ok(mut value) = HeaderValue::from_str(token.expose_secret()) {
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
        // A cache must not give these tokens to other clients, also if the handler allows caching.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }

    async fn take_pair(&self, app: &App) -> Option<TokenPair> {
        match self.replace(Pending::Nothing) {
            Pending::Nothing => None,
            Pending::Pair(pair) => Some(pair),
            Pending::Rotation(rotation) => match app.sessions.rotate(rotation).await {
                Ok(pair) => Some(pair),
                // This request or another one has ended the session.
                Err(Failure::TokenInvalid) => None,
                Err(failure) => {
                    tracing::error!(
                        ?failure,
                        "refresh token not rotated: the client keeps its old tokens"
                    );
                    None
                }
            },
        }
    }

    fn replace(&self, pending: Pending) -> Pending {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, pending)
    }

    fn from_parts(parts: &Parts) -> Self {
        parts.extensions.get().cloned().unwrap_or_default()
    }
}

impl FromRequestParts<App> for PendingTokens {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, HttpError> {
        Ok(Self::from_parts(parts))
    }
}
