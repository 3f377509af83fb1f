//! Settings of a MySQL or MariaDB server that the program rests on: set for every session, and checked at start.

use super::{Db, DbError, STATEMENT_TIMEOUT, sql};

/// Sets them, whatever the server's own are: each statement is committed by itself outside of transactions, a value that
/// does not fit is an error, foreign keys hold, new tables have transactions, and nobody waits for a lock for long. Gap
/// locks of the default isolation deadlock on concurrent inserts; no rule of ours needs them.
pub(super) const SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
     SET SESSION autocommit = 1, SESSION completion_type = 'NO_CHAIN', \
     SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', SESSION foreign_key_checks = 1, \
     SESSION unique_checks = 1, SESSION sql_safe_updates = 0, SESSION sql_select_limit = 18446744073709551615, \
     SESSION default_storage_engine = InnoDB, SESSION innodb_lock_wait_timeout = 5";

/// Lock waits end before the statement's own time does.
const _: () = assert!(STATEMENT_TIMEOUT.as_secs() > 5);

/// What a session must say of itself. A variable that the server does not have is not among its answers: one of the last
/// two has the isolation, depending on the family.
const EXPECTED: [(&str, &str); 6] = [
    ("autocommit", "ON"),
    ("character_set_client", "utf8mb4"),
    ("foreign_key_checks", "ON"),
    ("sql_mode", "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"),
    ("transaction_isolation", "READ-COMMITTED"),
    ("tx_isolation", "READ-COMMITTED"),
];

impl Db {
    /// Why the server or its tables cannot keep what the program promises, if they cannot.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unsuitable(&self) -> Result<Option<String>, DbError> {
        if matches!(self, Self::Sqlite { .. }) {
            return Ok(None);
        }
        let names = EXPECTED.map(|(name, _)| name);
        let found: Vec<(String, String)> =
            sql("SHOW SESSION VARIABLES WHERE Variable_name IN ").push_list(names).all(self).await?;
        for (name, expected) in EXPECTED {
            if let Some((_, value)) = found.iter().find(|(found, value)| found == name && value != expected) {
                return Ok(Some(format!("{name} is {value} for our sessions, though they set it to {expected}")));
            }
        }
        let other: Vec<(String, String)> = sql("SELECT CAST(table_name AS CHAR), CAST(engine AS CHAR) \
             FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' \
             AND engine <> 'InnoDB' AND table_name <> '_sqlx_migrations' ORDER BY table_name LIMIT 1")
        .all(self)
        .await?;
        Ok(other.into_iter().next().map(|(table, engine)| {
            format!("the table {table} has the engine {engine}, which has no transactions: convert it to InnoDB")
        }))
    }
}
