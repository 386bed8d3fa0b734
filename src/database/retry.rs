//! What a database refuses for reasons that pass by themselves, and trying again where that is safe.
//!
//! A statement is run again only where the database has said that it changed nothing: a deadlock, a serialisation
//! failure, a cluster without quorum, a server that takes no connections yet. Where a connection broke within a
//! statement nobody knows what became of it: reads are run again, writes are for the client to repeat.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement,
    sqlx::{self, mysql::MySqlDatabaseError, postgres::PgDatabaseError},
};

use crate::failure::Failure;

/// How often something is tried in all: the pauses between come to 1.3 to 2.5 s, enough for most fail-overs.
const ATTEMPTS: u32 = 8;
/// The pause after the first attempt; each one after is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// How long an attempt may take, whatever the network does: more than the server's own bounds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// No attempt begins later than this after the first one did.
const LAST_ATTEMPT: Duration = Duration::from_secs(8);
/// How long a client is told to wait for a database that cannot be had.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an attempt did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The database refused it.
    Database(DbErr),
    /// It was judged: to try again would end the same way.
    Judged(Failure),
}

/// A connection whose single statements are run again where that is safe.
#[derive(Clone, Debug)]
pub(super) struct Patient(pub(super) DatabaseConnection);

/// Runs a transaction again for as long as the database rolls it back for a reason that passes.
pub(super) async fn retried<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Stop>>,
{
    let mut pauses = Pauses::new();
    loop {
        let error = match tokio::time::timeout(ATTEMPT_TIMEOUT, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Stop::Judged(failure))) => return Err(failure),
            Ok(Err(Stop::Database(error))) => error,
            Err(_) => timed_out(),
        };
        if !(changed_nothing(&error) && pauses.pause().await) {
            return Err(error.into());
        }
    }
}

impl Patient {
    /// Runs a statement, again where `again` says that its error allows it.
    async fn run<T, F>(
        &self,
        again: impl Fn(&DbErr) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, DbErr>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        let mut pauses = Pauses::new();
        loop {
            let outcome = tokio::time::timeout(ATTEMPT_TIMEOUT, attempt()).await;
            match outcome.unwrap_or_else(|_| Err(timed_out())) {
                Err(error) if again(&error) && pauses.pause().await => {}
                outcome => return outcome,
            }
        }
    }
}

#[async_trait]
impl ConnectionTrait for Patient {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.run(changed_nothing, || self.0.execute_raw(statement.clone()))
            .await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(changed_nothing, || self.0.execute_unprepared(sql))
            .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.run(passes_soon, || self.0.query_one_raw(statement.clone()))
            .await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.run(passes_soon, || self.0.query_all_raw(statement.clone()))
            .await
    }
}

impl From<DbErr> for Stop {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Judged(failure)
    }
}

/// A database that cannot be had in time is busy, one without space is not available; all else is a fault.
impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        if passes(&error) {
            return Self::busy_because(RETRY_AFTER, error);
        }
        if is_full(&error) {
            return Self::unavailable(error);
        }
        Self::internal(error)
    }
}

/// Whether the error passes by itself; what became of the statement may be unknown.
fn passes(error: &DbErr) -> bool {
    is_out_of_reach(error)
        || changed_nothing(error)
        || matches!(
            driver_error(error),
            Some(
                sqlx::Error::Io(_)
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::WorkerCrashed
            )
        )
        || code(error).is_some_and(|code| match code {
            // The connection is gone, or being ended by the server; the statement took too long.
            Code::Postgres(code) => {
                code.starts_with("08")
                    || matches!(code, "25P03" | "57014" | "57P01" | "57P02" | "57P05")
            }
            // The server shuts down, or has ended the statement.
            Code::MySql(number) => {
                matches!(
                    number,
                    1053 | 1077 | 1079 | 1180 | 1317 | 1927 | 1969 | 3024 | 4031
                )
            }
            Code::Sqlite(_) => false,
        })
}

/// Whether a read that failed so may be run again at once.
fn passes_soon(error: &DbErr) -> bool {
    passes(error) && !is_out_of_reach(error)
}

/// Whether no connection was to be had in time: there has been waiting enough.
fn is_out_of_reach(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_))
        || matches!(
            driver_error(error),
            Some(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
        )
}

/// Whether the database has said that the statement changed nothing and may succeed later. A transaction around it is
/// given up by us, where the database has not done so.
fn changed_nothing(error: &DbErr) -> bool {
    code(error).is_some_and(|code| match code {
        // Serialisation failure, deadlock, lock not available; no connections or memory; server starting; read-only transaction
        // (PostgreSQL, appendix A).
        Code::Postgres(code) => matches!(
            code,
            "40001" | "40P01" | "55P03" | "53200" | "53300" | "57P03" | "25006"
        ),
        // Too many connections; cluster node not ready; lock wait; deadlock; read-only server
        // (MariaDB, error codes).
        Code::MySql(number) => matches!(number, 1040 | 1047 | 1205 | 1213 | 1290 | 1792 | 1836),
        // SQLITE_BUSY and SQLITE_LOCKED, with what extends them in the higher bytes.
        Code::Sqlite(number) => matches!(number & 0xff, 5 | 6),
    })
}

/// SQLITE_FULL; disk full (PostgreSQL 53100, MySQL 1021 and 1114).
fn is_full(error: &DbErr) -> bool {
    code(error).is_some_and(|code| match code {
        Code::Postgres(code) => code == "53100",
        Code::MySql(number) => matches!(number, 1021 | 1114),
        Code::Sqlite(number) => number & 0xff == 13,
    })
}

/// An error's number or word, as each engine counts them.
enum Code<'a> {
    Postgres(&'a str),
    MySql(u16),
    Sqlite(u32),
}

fn code(error: &DbErr) -> Option<Code<'_>> {
    let sqlx::Error::Database(error) = driver_error(error)? else {
        return None;
    };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return Some(Code::Postgres(error.code()));
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return Some(Code::MySql(error.number()));
    }
    let number = error.code()?.parse();
    number.ok().map(Code::Sqlite)
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn timed_out() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)
}

/// The pauses between attempts, each about twice as long as the one before. Those who collided once
/// must not collide again, so each pause is stretched by chance.
struct Pauses {
    left: u32,
    end: Instant,
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Self {
            left: ATTEMPTS - 1,
            end: Instant::now() + LAST_ATTEMPT,
            next: FIRST_PAUSE,
        }
    }

    /// Waits, and tells whether another attempt is due.
    async fn pause(&mut self) -> bool {
        if self.left == 0 || Instant::now() >= self.end {
            return false;
        }
        self.left -= 1;
        let chance = getrandom::u32().unwrap_or(0);
        tokio::time::sleep(
            self.next
                .mul_f64(1.0 + f64::from(chance) / f64::from(u32::MAX)),
        )
        .await;
        self.next *= 2;
        true
    }
}
