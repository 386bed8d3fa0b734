//! Sessions: started by a log-in, continued with refresh tokens, ended at once by a log-out.
//!
//! A session counts its refresh tokens: the number of a token is its generation. A rotation
//! increments the generation by compare-and-swap, so one of several requests in parallel wins. The
//! others hold the previous token, like a client that lost the response. For a grace period, that
//! token yields the same successor. An older token was stolen or replayed, and its use ends the
//! session (RFC 9700, section 4.14.2).

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::token::{TokenPair, Tokens};
use crate::{
    clock::{Clock, Milliseconds},
    database::{Database, Session, User},
    failure::Failure,
    snowflake::Snowflakes,
};

/// Time for which the previous refresh token still yields the newest one.
const ROTATION_GRACE: Milliseconds = 30_000;
/// Precision of the time of last use. Finer, every request would write to the database.
const LAST_USE_STEP: Milliseconds = 60_000;
/// Maximum number of characters of a stored user agent. The column has this length.
const USER_AGENT_LENGTH: usize = 255;

/// Starts, checks, rotates and ends sessions.
#[derive(Clone)]
pub struct Sessions {
    database: Database,
    tokens: Tokens,
    clock: Clock,
    ids: Arc<Snowflakes>,
}

/// An authenticated client.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Account of the client.
    pub user: User,
    /// Identifier of the session.
    pub session: i64,
    /// Set if the client used its refresh token. The response must then carry new tokens.
    pub pending_rotation: Option<PendingRotation>,
}

/// A verified refresh token, to be exchanged for new tokens by [`Sessions::rotate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRotation {
    session: i64,
    generation: i64,
}

impl Sessions {
    pub(crate) fn new(
        database: Database,
        tokens: Tokens,
        clock: Clock,
        ids: Arc<Snowflakes>,
    ) -> Self {
        Self {
            database,
            tokens,
            clock,
            ids,
        }
    }

    /// Starts a session for a user whose password has just been checked.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] if the password has changed since the check.
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn begin(&self, user: &User, user_agent: &str) -> Result<TokenPair, Failure> {
        let now = self.clock.now();
        let session = Session {
            id: self.ids.next().await?,
            user_id: user.id,
            password_generation: user.password_generation,
            generation: 1,
            created_at: now,
            last_used_at: now,
            rotated_at: now,
            expires_at: self.tokens.refresh_expiry(now),
            revoked_at: 0,
            user_agent: user_agent
                .chars()
                .filter(|c| !c.is_control())
                .take(USER_AGENT_LENGTH)
                .collect(),
        };
        self.database.insert_session(&session, user).await?;
        self.tokens.issue(&session, now)
    }

    /// Authenticates a client. Uses the refresh token only if the access token is absent or
    /// expired.
    ///
    /// # Errors
    /// [`Failure::TokenMissing`] if there is no token. [`Failure::TokenExpired`] if the access
    /// token has expired and there is no refresh token, or both have expired.
    /// [`Failure::TokenInvalid`] if a token is invalid or its session has ended.
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn authenticate(
        &self,
        access: Option<&SecretString>,
        refresh: Option<&SecretString>,
    ) -> Result<Identity, Failure> {
        let Some(access) = access else {
            return self
                .verify_refresh(refresh.ok_or(Failure::TokenMissing)?)
                .await;
        };
        match (
            self.tokens
                .verify_access(access.expose_secret(), self.clock.now()),
            refresh,
        ) {
            (Ok(token), _) => {
                let (session, user) = self.find_active(token.session).await?;
                self.touch(&session).await;
                Ok(Identity {
                    user,
                    session: token.session,
                    pending_rotation: None,
                })
            }
            (Err(Failure::TokenExpired), Some(refresh)) => self.verify_refresh(refresh).await,
            (Err(failure), _) => Err(failure),
        }
    }

    /// Verifies a refresh token, without a rotation.
    ///
    /// # Errors
    /// [`Failure::TokenExpired`] if the token has expired. [`Failure::TokenInvalid`] if it is
    /// invalid or its session has ended; a token that is too old also ends its session.
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn verify_refresh(&self, refresh: &SecretString) -> Result<Identity, Failure> {
        let now = self.clock.now();
        let token = self.tokens.verify_refresh(refresh.expose_secret(), now)?;
        let (session, user) = self.find_active(token.session).await?;
        let is_newest = token.generation == session.generation;
        let is_previous = token.generation + 1 == session.generation
            && now.saturating_sub(session.rotated_at) <= ROTATION_GRACE;
        if !is_newest && !is_previous {
            tracing::warn!(
                session = session.id,
                user = user.id,
                "a used refresh token was sent again; it may be stolen, so its session ends"
            );
            self.database.revoke_session(session.id, now).await?;
            return Err(Failure::TokenInvalid);
        }
        let pending_rotation = PendingRotation {
            session: session.id,
            generation: token.generation,
        };
        Ok(Identity {
            user,
            session: session.id,
            pending_rotation: Some(pending_rotation),
        })
    }

    /// Issues new tokens for a verified refresh token.
    ///
    /// Called at the end of the request. If it were called at the start, a slow upload could
    /// outlast the grace period before its client gets the new tokens.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] if the session has ended, or has rotated more than once since the
    /// verification. [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn rotate(&self, pending_rotation: PendingRotation) -> Result<TokenPair, Failure> {
        let now = self.clock.now();
        let (mut session, _) = self.find_active(pending_rotation.session).await?;
        // A client that delays its body must not get tokens that were issued to others meanwhile.
        if session.generation > pending_rotation.generation + 1 {
            return Err(Failure::TokenInvalid);
        }
        if session.generation == pending_rotation.generation {
            let next = Session {
                generation: session.generation + 1,
                rotated_at: now,
                expires_at: self.tokens.refresh_expiry(now),
                ..session
            };
            session = if self.database.rotate_session(&next).await? {
                next
            } else {
                // Another request was faster. Its new generation is the successor for this one,
                // too.
                self.find_active(pending_rotation.session).await?.0
            };
        }
        self.tokens.issue(&session, now)
    }

    /// Returns the active sessions of a user, the most recently used first.
    pub(crate) async fn list(&self, user: i64) -> Result<Vec<Session>, Failure> {
        self.database.live_sessions(user, self.clock.now()).await
    }

    /// Ends a session if it belongs to the user.
    ///
    /// # Errors
    /// [`Failure::SessionNotFound`] if the user has no such active session.
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub(crate) async fn end_own(&self, user: i64, session: i64) -> Result<(), Failure> {
        let now = self.clock.now();
        let ended = self.database.revoke_session_of(user, session, now).await?;
        ended.then_some(()).ok_or(Failure::SessionNotFound)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if the database cannot be reached.
    pub async fn end(&self, session: i64) -> Result<(), Failure> {
        self.database
            .revoke_session(session, self.clock.now())
            .await
    }

    /// Stores the time of last use. A failure is only logged: requests that just read also work
    /// while the database accepts no writes.
    async fn touch(&self, session: &Session) {
        let now = self.clock.now();
        if now.saturating_sub(session.last_used_at) >= LAST_USE_STEP
            && let Err(failure) = self.database.touch_session(session, now).await
        {
            tracing::warn!(
                ?failure,
                session = session.id,
                "cannot store the time of last use of a session"
            );
        }
    }

    async fn find_active(&self, session: i64) -> Result<(Session, User), Failure> {
        self.database
            .live_session(session)
            .await?
            .ok_or(Failure::TokenInvalid)
    }
}
