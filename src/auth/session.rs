//! Sessions: begun by a log-in, carried on by refresh tokens, ended at once.
//!
//! A session counts the refresh tokens it has handed out. Each renewal moves the count by compare-and-swap, so that of
//! requests in parallel one wins; the others, and a client whose answer was lost, hold the token just before, which
//! yields the same successor for a short grace. Any older token has been stolen or replayed, and ends the session
//! (RFC 9700, section 4.14.2).

use std::sync::Arc;

use secrecy::SecretString;

use super::token::{TokenPair, Tokens};
use crate::{
    clock::{Clock, Milliseconds},
    database::{Database, Session, User},
    failure::Failure,
    snowflake::Snowflakes,
};

/// How long the refresh token before the newest still yields the newest.
const GRACE: Milliseconds = 30_000;
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
pub struct Caller {
    /// The account.
    pub user: User,
    /// The session that the token belongs to.
    pub session: i64,
    /// New tokens, where the request renewed its session.
    pub issued: Option<TokenPair>,
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
    /// The database is out of reach.
    pub async fn begin(&self, user: &User, user_agent: &str) -> Result<TokenPair, Failure> {
        let now = self.clock.now();
        let session = Session {
            id: self.ids.next().await,
            user_id: user.id,
            generation: 1,
            created_at: now,
            rotated_at: now,
            expires_at: self.tokens.refresh_expiry(now),
            revoked_at: 0,
            user_agent: user_agent.chars().take(USER_AGENT_LENGTH).collect(),
        };
        let session = self.database.insert_session(session).await?;
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
    ) -> Result<Caller, Failure> {
        use secrecy::ExposeSecret;
        let Some(access) = access else {
            return self.renew(refresh.ok_or(Failure::TokenMissing)?).await;
        };
        match (
            self.tokens
                .read_access(access.expose_secret(), self.clock.now()),
            refresh,
        ) {
            (Ok(token), _) => {
                let (_, user) = self
                    .database
                    .live_session(token.session)
                    .await?
                    .ok_or(Failure::TokenInvalid)?;
                Ok(Caller {
                    user,
                    session: token.session,
                    issued: None,
                })
            }
            (Err(Failure::TokenExpired), Some(refresh)) => self.renew(refresh).await,
            (Err(failure), _) => Err(failure),
        }
    }

    /// Renews a session: the caller gets a new pair.
    ///
    /// # Errors
    /// [`Failure::TokenExpired`], [`Failure::TokenInvalid`].
    pub async fn renew(&self, refresh: &SecretString) -> Result<Caller, Failure> {
        use secrecy::ExposeSecret;
        let now = self.clock.now();
        let token = self.tokens.read_refresh(refresh.expose_secret(), now)?;
        let (session, user) = self.live(token.session).await?;
        let rotated = token.generation == session.generation && {
            let expires_at = self.tokens.refresh_expiry(now);
            self.database
                .rotate_session(session.id, session.generation, now, expires_at)
                .await?
        };
        let session = if rotated {
            Session {
                generation: session.generation + 1,
                rotated_at: now,
                expires_at: self.tokens.refresh_expiry(now),
                ..session
            }
        } else {
            // Read again: where another request has just moved the session on, this one's token is the one before.
            let (session, _) = self.live(token.session).await?;
            let previous = token.generation + 1 == session.generation;
            if !previous || now.saturating_sub(session.rotated_at) > GRACE {
                tracing::warn!(
                    session = session.id,
                    "an old refresh token was used again; its session is ended"
                );
                self.database.revoke_session(session.id, now).await?;
                return Err(Failure::TokenInvalid);
            }
            session
        };
        let issued = Some(self.tokens.issue(&session, now)?);
        Ok(Caller {
            user,
            session: session.id,
            issued,
        })
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

    async fn live(&self, session: i64) -> Result<(Session, User), Failure> {
        self.database
            .live_session(session)
            .await?
            .ok_or(Failure::TokenInvalid)
    }
}
