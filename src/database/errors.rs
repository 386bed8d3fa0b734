//! Classes of database errors: which ones pass by themselves, and after which ones a statement may
//! run again.

use std::time::Duration;

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, mysql::MySqlDatabaseError, postgres::PgDatabaseError},
};

use crate::failure::Failure;

/// Time after which a client may try again when the database is not available.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Maps transient errors to `Busy`, a full disk to `Unavailable`, and all others to `Internal`.
impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        if is_transient(&error) {
            return Self::busy_because(RETRY_AFTER, error);
        }
        if is_full(&error) {
            return Self::unavailable(error);
        }
        Self::internal(error)
    }
}

/// Returns true if the cause passes by itself. The statement may have taken effect or not.
fn is_transient(error: &DbErr) -> bool {
    is_out_of_reach(error)
        || is_rolled_back(error)
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
            // Class 08: connection exception. 25P03, 57P05: idle for too long. 57014: statement
            // timeout. 57P01, 57P02: the server shuts down or has crashed (PostgreSQL
            // documentation, appendix A).
            Code::Postgres(code) => {
                code.starts_with("08")
                    || matches!(code, "25P03" | "57014" | "57P01" | "57P02" | "57P05")
            }
            // 1053, 1077, 1079: the server shuts down. 1180: error during commit. 1317, 1927:
            // killed by the server. 1969, 3024: statement timeout. 4031: idle for too long.
            Code::MySql(number) => {
                matches!(
                    number,
                    1053 | 1077 | 1079 | 1180 | 1317 | 1927 | 1969 | 3024 | 4031
                )
            }
            Code::Sqlite(_) => false,
        })
}

/// Returns true if a read that failed with this error may run again at once.
pub(super) fn is_read_retryable(error: &DbErr) -> bool {
    // The pool has already waited for a connection, so another attempt would only add to that wait.
    is_transient(error) && !is_out_of_reach(error)
}

/// Returns true if no connection was available in time.
fn is_out_of_reach(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_))
        || matches!(
            driver_error(error),
            Some(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
        )
}

/// Returns true if the database states that the statement changed nothing and may succeed later.
///
/// MySQL keeps the transaction around such a statement open after some of these errors. The caller
/// drops it, which rolls it back.
pub(super) fn is_rolled_back(error: &DbErr) -> bool {
    code(error).is_some_and(|code| match code {
        // 40001: serialisation failure. 40P01: deadlock. 55P03: lock timeout. 53200, 53300: no
        // memory, no connections. 57P03: the server starts. 25006: read-only transaction, as on a
        // standby.
        Code::Postgres(code) => matches!(
            code,
            "40001" | "40P01" | "55P03" | "53200" | "53300" | "57P03" | "25006"
        ),
        // 1040: too many connections. 1047: the Galera node has no quorum. 1205: lock timeout.
        // 1213: deadlock, also a conflict between Galera nodes. 1290, 1792, 1836: the server is
        // read-only.
        Code::MySql(number) => matches!(number, 1040 | 1047 | 1205 | 1213 | 1290 | 1792 | 1836),
        // SQLITE_BUSY and SQLITE_LOCKED. The low byte is the primary code
        // (https://sqlite.org/rescode.html).
        Code::Sqlite(number) => matches!(number & 0xff, 5 | 6),
    })
}

/// Returns true if the server's disk or table is full.
fn is_full(error: &DbErr) -> bool {
    code(error).is_some_and(|code| match code {
        Code::Postgres(code) => code == "53100",
        Code::MySql(number) => matches!(number, 1021 | 1114),
        // SQLITE_FULL.
        Code::Sqlite(number) => number & 0xff == 13,
    })
}

/// The error code of one engine.
enum Code<'a> {
    /// SQLSTATE.
    Postgres(&'a str),
    /// The error number: SQLSTATE is too coarse on MySQL.
    MySql(u16),
    /// The extended result code.
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
