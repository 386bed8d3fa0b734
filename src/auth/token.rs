//! Access and refresh tokens: JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 and two keys that never meet.
//!
//! A token's header names the secret that its key was drawn from (`kid`), so that secrets can be changed while tokens of
//! the one before are still good: the newest signs, all of them are taken.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::key::Secret;
use crate::{clock::Milliseconds, config::Period, database::Session, failure::Failure};

const ISSUER: &str = "veraicon";
const AUDIENCE: &str = "veraicon";
/// How far another node's clock may run ahead of ours.
const NOT_BEFORE_LEEWAY: Milliseconds = 30_000;

/// The pair that a client sends from now on.
#[derive(Clone, Debug)]
pub struct TokenPair {
    /// Opens requests for a short time.
    pub access: SecretString,
    /// Yields the next pair.
    pub refresh: SecretString,
    /// How long the access token is good for.
    pub access_ttl: Period,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The session that it belongs to.
    pub session: i64,
}

/// What a refresh token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session that it belongs to.
    pub session: i64,
    /// Which of the session's refresh tokens it is.
    pub generation: i64,
}

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    signing: Arc<KeySet>,
    /// The keys of secrets that sign no longer.
    previous: Arc<[KeySet]>,
    access_ttl: Period,
    refresh_ttl: Period,
}

/// What is drawn from one secret: a key for each type of token.
struct KeySet {
    id: String,
    access: SigningKey,
    refresh: SigningKey,
}

struct SigningKey {
    token_type: TokenType,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TokenType {
    Access,
    Refresh,
}

/// The claims. Times are NumericDates (RFC 7519, section 2) with milliseconds as their fraction:
/// a life of one second is exactly that.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    typ: TokenType,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "gen")]
    generation: Option<i64>,
    iat: f64,
    nbf: f64,
    exp: f64,
}

impl Tokens {
    /// Signs with keys of the one secret, and takes tokens that keys of the `previous` ones have signed.
    #[must_use]
    pub fn new(
        signing: &Secret,
        previous: &[Secret],
        access_ttl: Period,
        refresh_ttl: Period,
    ) -> Self {
        Self {
            signing: Arc::new(KeySet::of(signing)),
            previous: previous.iter().map(KeySet::of).collect(),
            access_ttl,
            refresh_ttl,
        }
    }

    /// When a refresh token handed out `now` ends.
    #[must_use]
    pub fn refresh_expiry(&self, now: Milliseconds) -> Milliseconds {
        now.saturating_add(self.refresh_ttl.milliseconds())
    }

    /// The pair for a session's present generation.
    ///
    /// The refresh token follows from the session's row alone: whoever asks again gets the very same one.
    ///
    /// # Errors
    /// The signature cannot be made.
    pub fn issue(&self, session: &Session, now: Milliseconds) -> Result<TokenPair, Failure> {
        let KeySet {
            id,
            access,
            refresh,
        } = &*self.signing;
        let access = access.sign(
            id,
            session,
            None,
            now,
            now.saturating_add(self.access_ttl.milliseconds()),
        )?;
        let refresh = refresh.sign(
            id,
            session,
            Some(session.generation),
            session.rotated_at,
            session.expires_at,
        )?;
        Ok(TokenPair {
            access,
            refresh,
            access_ttl: self.access_ttl,
        })
    }

    /// Reads an access token.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`], [`Failure::TokenExpired`].
    pub fn read_access(&self, token: &str, now: Milliseconds) -> Result<AccessToken, Failure> {
        let claims = self.keys_for(token)?.access.verify(token, now)?;
        Ok(AccessToken {
            session: number(&claims.sid)?,
        })
    }

    /// Reads a refresh token.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`], [`Failure::TokenExpired`].
    pub fn read_refresh(&self, token: &str, now: Milliseconds) -> Result<RefreshToken, Failure> {
        let claims = self.keys_for(token)?.refresh.verify(token, now)?;
        let generation = claims.generation.ok_or(Failure::TokenInvalid)?;
        Ok(RefreshToken {
            session: number(&claims.sid)?,
            generation,
        })
    }

    /// The keys of the secret that the token names. The name is not yet proved: the signature does that.
    fn keys_for(&self, token: &str) -> Result<&KeySet, Failure> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| Failure::TokenInvalid)?;
        std::iter::once(&*self.signing)
            .chain(self.previous.iter())
            .find(|keys| header.kid.as_ref() == Some(&keys.id))
            .ok_or(Failure::TokenInvalid)
    }
}

impl KeySet {
    fn of(secret: &Secret) -> Self {
        let key = |token_type, purpose: &[u8]| {
            SigningKey::new(token_type, &secret.derive_key(&[purpose]))
        };
        Self {
            id: secret.id(),
            access: key(TokenType::Access, b"veraicon access token"),
            refresh: key(TokenType::Refresh, b"veraicon refresh token"),
        }
    }
}

impl SigningKey {
    fn new(token_type: TokenType, key: &[u8]) -> Self {
        Self {
            token_type,
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
        }
    }

    fn sign(
        &self,
        id: &str,
        session: &Session,
        generation: Option<i64>,
        from: Milliseconds,
        until: Milliseconds,
    ) -> Result<SecretString, Failure> {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: session.user_id.to_string(),
            sid: session.id.to_string(),
            typ: self.token_type,
            generation,
            iat: numeric_date(from),
            nbf: numeric_date(from),
            exp: numeric_date(until),
        };
        let header = Header {
            kid: Some(id.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.encoding);
        token.map(SecretString::from).map_err(Failure::internal)
    }

    fn verify(&self, token: &str, now: Milliseconds) -> Result<Claims, Failure> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The library would read the machine's clock; ours judges below.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let token = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation);
        let claims = token.map_err(|_| Failure::TokenInvalid)?.claims;
        if claims.typ != self.token_type
            || milliseconds(claims.nbf) > now.saturating_add(NOT_BEFORE_LEEWAY)
        {
            return Err(Failure::TokenInvalid);
        }
        if milliseconds(claims.exp) <= now {
            return Err(Failure::TokenExpired);
        }
        Ok(claims)
    }
}

fn number(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| Failure::TokenInvalid)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit the 53 bits of a double for 285,000 years"
)]
fn numeric_date(time: Milliseconds) -> f64 {
    time as f64 / 1000.0
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a conversion from a double saturates; the value is signed by us"
)]
fn milliseconds(date: f64) -> Milliseconds {
    (date * 1000.0).round() as Milliseconds
}
