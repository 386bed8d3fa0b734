//! Sessions: begun by a log-in, carried on by refresh tokens, ended at once.
//!
//! A session counts the refresh tokens it has handed out. Each pending_rotation moves the count by compare-and-swap, so that of
//! requests in parallel one wins; the others, and a client whose answer was lost, hold the token just before, which
//! yields the same successor for a short grace. Any older token has been stolen or replayed, and ends the session
//! (RFC 9700, section 4.14.2).

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::token::{TokenPair, Tokens};
use crate::{
    clock::{Clock, Milliseconds},
    database::{Database, Session, User},
    failure::Failure,
    snowflake::Snowflakes,
};

/// How long the refresh token before the newest still yields the newest.
const GRACE: Milliseconds = 30_000;
/// How old the time of last use may be before a request moves it: else each request would write.
const USE_STEP: Milliseconds = 60_000;
/// Characters of a user agent that are kept.
const USER_AGENT_LENGTH: usize = 255;

/// Begins, checks, renews and ends sessions.
#[derive(Clone)]
pub struct Sessions {
    database: Database,
    tokens: Tokens,
    clock: Clock,
    ids: Arc<Snowflakes>,
}

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account.
    pub user: User,
    /// The session that the token belongs to.
    pub session: i64,
    /// The refresh token that the caller came by, where it did: its answer must carry new tokens.
    pub pending_rotation: Option<PendingRotation>,
}

/// A refresh token that was found good: a claim to new tokens, which [`Sessions::rotate`] honours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRotation {
    session: i64,
    generation: i64,
}

impl Sessions {
    /// Sessions kept in `database`, with `tokens` made for them.
    #[must_use]
    pub fn new(database: Database, tokens: Tokens, clock: Clock, ids: Arc<Snowflakes>) -> Self {
        Self {
            database,
            tokens,
            clock,
            ids,
        }
    }

    /// Begins a session for a user whose password was just checked.
    ///
    /// # Errors
    /// [`Failure::BadCredentials`] where the password was changed since.
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

    /// Finds out who is asking. A refresh token counts only where the access token is absent or its time is over.
    ///
    /// # Errors
    /// [`Failure::TokenMissing`], [`Failure::TokenExpired`], [`Failure::TokenInvalid`].
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
                .read_access(access.expose_secret(), self.clock.now()),
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

    /// Judges a refresh token; nothing moves yet.
    ///
    /// # Errors
    /// [`Failure::TokenExpired`]; [`Failure::TokenInvalid`], which for an old token ends its session.
    pub async fn verify_refresh(&self, refresh: &SecretString) -> Result<Identity, Failure> {
        let now = self.clock.now();
        let token = self.tokens.read_refresh(refresh.expose_secret(), now)?;
        let (session, user) = self.find_active(token.session).await?;
        let newest = token.generation == session.generation;
        let before = token.generation + 1 == session.generation
            && now.saturating_sub(session.rotated_at) <= GRACE;
        if !newest && !before {
            tracing::warn!(
                session = session.id,
                "an old refresh token was used again; its session is ended"
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

    /// Hands out new tokens for a refresh token that was judged before: at the end of the request, since a slow
    /// upload would else outlast the grace with its new tokens still on the way.
    ///
    /// # Errors
    /// [`Failure::TokenInvalid`] where the session was ended meanwhile, or has moved on by more than the token's own
    /// successor: whoever drips a body must not collect what others were given since.
    pub async fn rotate(&self, pending_rotation: PendingRotation) -> Result<TokenPair, Failure> {
        let now = self.clock.now();
        let (mut session, _) = self.find_active(pending_rotation.session).await?;
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
                // Another request was first: its successor is this one's too.
                self.find_active(pending_rotation.session).await?.0
            };
        }
        self.tokens.issue(&session, now)
    }

    /// The user's sessions, the one used last first.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn list(&self, user: i64) -> Result<Vec<Session>, Failure> {
        self.database.live_sessions(user, self.clock.now()).await
    }

    /// Ends a session of the user's own.
    ///
    /// # Errors
    /// [`Failure::SessionNotFound`].
    pub async fn end_own(&self, user: i64, session: i64) -> Result<(), Failure> {
        let now = self.clock.now();
        let ended = self.database.revoke_session_of(user, session, now).await?;
        ended.then_some(()).ok_or(Failure::SessionNotFound)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database is out of reach.
    pub async fn end(&self, session: i64) -> Result<(), Failure> {
        self.database
            .revoke_session(session, self.clock.now())
            .await
    }

    /// Requests that only read go on where nothing can be written.
    async fn touch(&self, session: &Session) {
        let now = self.clock.now();
        if now.saturating_sub(session.last_used_at) >= USE_STEP
            && let Err(failure) = self.database.touch_session(session, now).await
        {
            tracing::warn!(?failure, "a session's time of last use could not be kept");
        }
    }

    async fn find_active(&self, session: i64) -> Result<(Session, User), Failure> {
        self.database
            .live_session(session)
            .await?
            .ok_or(Failure::TokenInvalid)
    }
}
