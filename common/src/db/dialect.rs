//! The few places where SQLite and MySQL/MariaDB really differ.

use sqlx::error::DatabaseError;

use super::{Db, Tx};

/// Which family of SQL a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
}

impl Db {
    /// Which SQL this database speaks.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
        }
    }
}

impl Tx {
    /// Which SQL this transaction's database speaks.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::MySql(_) => Dialect::MySql,
        }
    }
}

impl Dialect {
    /// What ends a `SELECT` that locks the rows it reads until the transaction ends. SQLite's transactions hold the
    /// write lock of the whole file already.
    pub const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql => " FOR UPDATE",
        }
    }

    /// What begins an `INSERT` that does nothing when its key exists.
    pub const fn insert_ignore(self) -> &'static str {
        match self {
            Self::Sqlite => "INSERT OR IGNORE",
            Self::MySql => "INSERT IGNORE",
        }
    }

    /// What ends an `INSERT` that updates `columns` to the values it would have inserted when `key` exists.
    pub fn upsert(self, key: &str, columns: &[&str]) -> String {
        let assign = |new: fn(&str) -> String| {
            columns.iter().map(|c| format!("{c} = {}", new(c))).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Sqlite => format!(" ON CONFLICT ({key}) DO UPDATE SET {}", assign(|c| format!("excluded.{c}"))),
            Self::MySql => format!(" ON DUPLICATE KEY UPDATE {}", assign(|c| format!("VALUES({c})"))),
        }
    }
}

/// Whether the server says "another transaction was in the way": a deadlock (1213) or a lock wait that took too long
/// (1205) on MySQL, `SQLITE_BUSY` (5, with 261 and 517) or `SQLITE_LOCKED` (6, with 262) on SQLite.
pub(super) fn is_contention(error: &dyn DatabaseError) -> bool {
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(mysql.number(), 1205 | 1213);
    }
    matches!(error.code().as_deref(), Some("5" | "6" | "261" | "262" | "517"))
}

/// Whether the statement was not run because its connection had ended: it broke, or the server says that it is shutting
/// down (1053), that the connection was killed (1927) or idle for too long (4031).
pub(super) fn is_gone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .is_some_and(|mysql| matches!(mysql.number(), 1053 | 1927 | 4031)),
        _ => false,
    }
}
