//! The few places where SQLite and MySQL/MariaDB really differ.

use super::{
    Db,
    tx::{Tx, TxConnection},
};

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
        match self.connection {
            TxConnection::Sqlite(_) => Dialect::Sqlite,
            TxConnection::MySql(_) => Dialect::MySql,
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
