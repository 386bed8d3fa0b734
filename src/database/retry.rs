//! Retries of statements and transactions.
//!
//! A write runs again only if the database states that it changed nothing: after a deadlock, a
//! serialisation failure, without quorum, or while the server starts. If the connection breaks
//! within a write, its outcome is unknown and the client must repeat the request. Reads run again
//! in both cases.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    Statement,
};

use super::errors::{is_read_retryable, is_rolled_back};
use crate::failure::Failure;

/// Number of attempts. The delays between them add up to 1.3 to 2.5 s, which is enough for most
/// fail-overs.
const ATTEMPTS: u32 = 8;
/// Shortest delay after the first attempt. Doubles with each attempt.
const FIRST_DELAY: Duration = Duration::from_millis(10);
/// Most time that one attempt takes, even if the network loses packets. Longer than the timeouts of
/// the server.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// Time after which no other attempt begins.
const LAST_ATTEMPT: Duration = Duration::from_secs(8);

/// The error of one attempt at a transaction.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// The database refused a statement. Another attempt may succeed.
    Database(DbErr),
    /// The outcome is decided: another attempt would end the same way.
    Final(Failure),
}

/// A connection that runs single statements again if that is safe.
#[derive(Clone, Debug)]
pub(super) struct RetryingConnection(pub(super) DatabaseConnection);

/// Runs a transaction, and runs it again if the database rolled it back for a transient cause.
pub(super) async fn with_retries<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, AttemptError>>,
{
    let mut backoff = Backoff::new();
    loop {
        let error = match tokio::time::timeout(ATTEMPT_TIMEOUT, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(AttemptError::Final(failure))) => return Err(failure),
            Ok(Err(AttemptError::Database(error))) => error,
            Err(_) => timed_out(),
        };
        if !(is_rolled_back(&error) && backoff.wait().await) {
            return Err(error.into());
        }
    }
}

impl RetryingConnection {
    /// Runs a statement, and runs it again after errors for which `is_retryable` returns true.
    async fn run<T, F>(
        &self,
        is_retryable: impl Fn(&DbErr) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, DbErr>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        let mut backoff = Backoff::new();
        loop {
            let outcome = tokio::time::timeout(ATTEMPT_TIMEOUT, attempt()).await;
            match outcome.unwrap_or_else(|_| Err(timed_out())) {
                Err(error) if is_retryable(&error) && backoff.wait().await => {}
                outcome => return outcome,
            }
        }
    }
}

// SeaORM sends reads through the `query` methods and writes through the `execute` methods, so each
// has its own rule.
#[async_trait]
impl ConnectionTrait for RetryingConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(is_rolled_back, || self.0.execute_raw(statement.clone()))
            .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(is_rolled_back, || self.0.execute_unprepared(sql))
            .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(is_read_retryable, || {
            self.0.query_one_raw(statement.clone())
        })
        .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(is_read_retryable, || {
            self.0.query_all_raw(statement.clone())
        })
        .await
    }
}

impl From<DbErr> for AttemptError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

fn timed_out() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
}

/// Exponential backoff with jitter. Without jitter, clients that collided would collide again.
struct Backoff {
    attempts_left: u32,
    end: Instant,
    next: Duration,
}

impl Backoff {
    fn new() -> Self {
        Self {
            attempts_left: ATTEMPTS - 1,
            end: Instant::now() + LAST_ATTEMPT,
            next: FIRST_DELAY,
        }
    }

    /// Waits for the next delay. Returns false, at once, if there must be no other attempt.
    async fn wait(&mut self) -> bool {
        if self.attempts_left == 0 || Instant::now() >= self.end {
            return false;
        }
        self.attempts_left -= 1;
        // Without random numbers there is no jitter, which is no reason to fail.
        let random = getrandom::u32().unwrap_or(0);
        let jitter = f64::from(random) / f64::from(u32::MAX);
        tokio::time::sleep(self.next.mul_f64(1.0 + jitter)).await;
        self.next *= 2;
        true
    }
}
