//! Errors of the database, told apart by what to do about them.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A unique key already has this value.
    #[error("a row with this key exists")]
    UniqueViolation(#[source] sqlx::Error),
    /// The transaction lost a deadlock or a wait for a lock; running it again may succeed.
    #[error("the transaction gave way to another")]
    Contention(#[source] sqlx::Error),
    /// Not now: no connection could be had, the statement took too long, or the database takes no writes because it is
    /// full, read-only or stopping. Whether a statement that was cut off took effect is unknown.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Anything else: a mistake in a statement or a row that does not fit its type.
    #[error("the database answered with an error: {0}")]
    Other(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match kind(&error) {
            Kind::Unique => Self::UniqueViolation(error),
            Kind::Contention => Self::Contention(error),
            Kind::NotNow => Self::Unavailable(error.to_string()),
            Kind::Other => Self::Other(error),
        }
    }
}

/// Errors that may say "run the transaction again".
pub trait MaybeContention {
    /// Whether this is [`DbError::Contention`].
    fn is_contention(&self) -> bool;
}

impl MaybeContention for DbError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Contention(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unique,
    Contention,
    NotNow,
    Other,
}

fn kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => Kind::Unique,
        sqlx::Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(error) => mysql_kind(error.number()),
            None => sqlite_kind(error.as_ref()),
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Kind::NotNow,
        _ => Kind::Other,
    }
}

/// The numbers of MySQL's and MariaDB's error messages. 2006 and 2013 are a client library's, which proxies pass on.
const fn mysql_kind(number: u16) -> Kind {
    match number {
        // Changed since it was read, a lock waited for too long, a deadlock.
        1020 | 1205 | 1213 => Kind::Contention,
        // No connection for us: the server's, the user's or the hour's limit, the host blocked.
        1040 | 1129 | 1203 | 1226
        // The disk or a table is full, a file cannot be written.
        | 1021 | 1026 | 1114
        // Read-only: by an option, by a mode, by the transaction.
        | 1290 | 1792 | 1836
        // A node of a cluster that is not in sync.
        | 1047
        // The server stops, the connection was ended, or the statement was: interrupted, or for its time.
        | 1053 | 1152 | 1158..=1161 | 1317 | 1927 | 1969 | 2006 | 2013 | 3024 | 4031 => Kind::NotNow,
        _ => Kind::Other,
    }
}

/// The result codes of SQLite; the lower byte of an extended code is the primary one.
fn sqlite_kind(error: &dyn DatabaseError) -> Kind {
    let code: Option<u32> = error.code().and_then(|code| code.parse().ok());
    match code.map(|code| code & 0xff) {
        // BUSY, LOCKED.
        Some(5 | 6) => Kind::Contention,
        // NOMEM, READONLY, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL.
        Some(7..=10 | 13..=15) => Kind::NotNow,
        _ => Kind::Other,
    }
}

fn mysql_number(error: &sqlx::Error) -> Option<u16> {
    let sqlx::Error::Database(error) = error else { return None };
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// Whether a call that ended with this error has left its connection as it was: the database answered, and did not say
/// that it takes nothing now. Another connection may reach a server that does.
pub(super) fn keeps_connection(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_)) && kind(error) != Kind::NotNow
}

/// Whether the statement was not run because its connection had ended: it broke, or the server says that it is shutting
/// down (1053), that the connection was killed (1927) or idle for too long (4031), or a proxy that it is gone.
pub(super) fn is_gone(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_)) || matches!(mysql_number(error), Some(1053 | 1927 | 2006 | 2013 | 4031))
}

/// Whether the server gives no more connections: its own limit (1040), or the user's (1203, 1226).
pub(super) fn server_is_full(error: &sqlx::Error) -> bool {
    matches!(mysql_number(error), Some(1040 | 1203 | 1226))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_kind() {
        for (numbers, expected) in [
            (&[1020, 1205, 1213][..], Kind::Contention),
            (&[1021, 1040, 1053, 1114, 1203, 1290, 1317, 1792, 1836, 1927, 2006, 2013, 3024, 4031][..], Kind::NotNow),
            (&[1048, 1054, 1064, 1146, 1406, 1452][..], Kind::Other),
        ] {
            for number in numbers {
                assert_eq!(mysql_kind(*number), expected, "{number}");
            }
        }
    }
}
