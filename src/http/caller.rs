//! Who is asking: tokens are judged from the head of a request, before its body is read.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use secrecy::SecretString;

use super::{ACCESS_TOKEN, REFRESH_TOKEN, finish::Issued};
use crate::{app::App, auth::session, failure::Failure};

/// The caller of a request that needs a token.
pub(super) struct Caller(pub(super) session::Identity);

impl FromRequestParts<App> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let tokens = Tokens::of(&parts.headers);
        let caller = app
            .sessions
            .authenticate(tokens.access.as_ref(), tokens.refresh.as_ref())
            .await?;
        if let (Some(issued), Some(renewal)) =
            (parts.extensions.get::<Issued>(), caller.pending_rotation)
        {
            issued.renew(renewal);
        }
        Ok(Self(caller))
    }
}

/// The tokens of a request; an empty header is none.
pub(super) struct Tokens {
    access: Option<SecretString>,
    /// Yields a new pair.
    pub(super) refresh: Option<SecretString>,
}

impl Tokens {
    /// Reads the headers. `Authorization: Bearer` stands in for a missing `Access-Token`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let own = token(headers, &ACCESS_TOKEN);
        let bearer = || token(headers, &header::AUTHORIZATION);
        Self {
            access: own.or_else(bearer),
            refresh: token(headers, &REFRESH_TOKEN),
        }
    }
}

fn token(headers: &HeaderMap, name: &HeaderName) -> Option<SecretString> {
    // A value that is no text is no token either; an empty one would pass for absent, so it becomes one that fits nothing.
    let text = headers.get(name)?.to_str().unwrap_or("?").trim();
    let scheme = text
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let token = match scheme {
        Some(scheme) => text[scheme.len()..].trim(),
        None if *name == header::AUTHORIZATION => return None,
        None => text,
    };
    (!token.is_empty()).then(|| SecretString::from(token))
}
