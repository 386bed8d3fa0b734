//! Access and refresh tokens: JSON Web Tokens (RFC 7519), signed with HMAC-SHA256.
//!
//! Each type of token has its own key, so that one type never passes for the other. The header
//! `kid` names the secret from which the key is derived. After a rotation, the newest secret signs,
//! and tokens of earlier secrets stay valid until they expire.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::key::Secret;
use crate::{clock::Milliseconds, config::Period, database::Session, failure::Failure};

const ISSUER: &str = "veraicon";
const AUDIENCE: &str = "veraicon";
/// Time by which the clock of another node may be ahead.
const NOT_BEFORE_LEEWAY: Milliseconds = 30_000;

/// New tokens for a client.
#[derive(Clone, Debug)]
pub struct TokenPair {
    /// Access token: authenticates requests for a short time.
    pub access: SecretString,
    /// Refresh token: yields the next pair.
    pub refresh: SecretString,
    /// Lifetime of the access token.
    pub access_ttl: Period,
}

/// Content of a valid access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessToken {
    /// Identifier of its session.
    pub(crate) session: i64,
}

/// Content of a valid refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// Identifier of its session.
    pub(crate) session: i64,
    /// Number of the token within its session.
    pub(crate) generation: i64,
}

/// Issues and verifies tokens.
#[derive(Clone)]
pub(crate) struct Tokens {
    signing: Arc<KeySet>,
    /// Keys of former secrets: they verify, but do not sign.
    previous: Arc<[KeySet]>,
    access_ttl: Period,
    refresh_ttl: Period,
}

/// Keys derived from one secret: one for each type of token.
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

/// Claims of a token.
///
/// Times are NumericDates (RFC 7519, section 2) with a fraction, so that lifetimes are exact to the
/// millisecond.
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
    /// Derives the keys. `signing` signs; tokens of `previous` secrets are valid, too.
    pub(crate) fn new(
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

    /// Returns the expiry of a refresh token that is issued `now`.
    pub(crate) fn refresh_expiry(&self, now: Milliseconds) -> Milliseconds {
        now.saturating_add(self.refresh_ttl.milliseconds())
    }

    /// Issues tokens for the current generation of a session.
    ///
    /// The refresh token depends on nothing but the session's row. So requests in parallel that
    /// rotate the same token get the same successor.
    ///
    /// # Errors
    /// [`Failure::Internal`] if signing fails.
    pub(crate) fn issue(&self, session: &Session, now: Milliseconds) -> Result<TokenPair, Failure> {
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

    /// Verifies an access token.
    ///
    /// # Errors
    /// [`Failure::TokenExpired`] if its time is over, [`Failure::TokenInvalid`] for any other
    /// fault.
    pub(crate) fn verify_access(
        &self,
        token: &str,
        now: Milliseconds,
    ) -> Result<AccessToken, Failure> {
        let claims = self.keys_for(token)?.access.verify(token, now)?;
        Ok(AccessToken {
            session: number(&claims.sid)?,
        })
    }

    /// Verifies a refresh token.
    ///
    /// # Errors
    /// [`Failure::TokenExpired`] if its time is over, [`Failure::TokenInvalid`] for any other
    /// fault.
    pub(crate) fn verify_refresh(
        &self,
        token: &str,
        now: Milliseconds,
    ) -> Result<RefreshToken, Failure> {
        let claims = self.keys_for(token)?.refresh.verify(token, now)?;
        let generation = claims.generation.ok_or(Failure::TokenInvalid)?;
        Ok(RefreshToken {
            session: number(&claims.sid)?,
            generation,
        })
    }

    /// Finds the keys of the secret that the token names. The signature is verified afterwards.
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
        // The library would use the system clock. The times are checked below with the given clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let token = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation);
        let claims = token.map_err(|_| Failure::TokenInvalid)?.claims;
        // The keys already tell the types apart. The claim guards against a mix-up of the keys.
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

// Identifiers are strings in the claims: a JSON number is exact to 53 bits only (RFC 8259, section
// 6).
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
    reason = "the conversion saturates, and the service itself signed the value"
)]
fn milliseconds(date: f64) -> Milliseconds {
    (date * 1000.0).round() as Milliseconds
}
