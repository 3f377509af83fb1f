//! SQL written once for SQLite and MySQL/MariaDB.
//!
//! A [`Query`] is a text with `?` placeholders and its values; [`Db`] runs it on whichever pool it holds. Ids are
//! [`uuid::Uuid`]s in 16-byte columns and times are [`Timestamp`]s in 64-bit columns, both made in Rust, so that no
//! statement needs a function of one dialect. Where dialects really differ, [`dialect`] has both.
//!
//! ```ignore
//! let user: Option<User> = sql("SELECT id, nickname FROM users WHERE id = ?").bind(id).optional(&db).await?;
//! ```

mod call;
pub mod dialect;
mod error;
mod lease;
mod migrate;
mod query;
pub mod recorder;
mod settings;
mod tx;
mod value;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    Connection, MySqlPool, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use self::lease::Lease;
pub use self::{
    error::{DbError, MaybeContention},
    migrate::{MigrateError, SchemaState},
    query::{Executor, Query, Row, insert_rows, padded, sql, upsert_rows},
    tx::{Attempts, Tx},
    value::Value,
};
use crate::config::SecretUrl;

/// The longest that connecting, or waiting for a free connection, may take.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// For how long a connection that has worked is used without asking whether the server is still there.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// The longest that one statement may take.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements that a connection to MySQL or MariaDB keeps prepared, at most. One that has nearly as many is replaced when
/// it is not in use: to close a statement is a message without an answer, and the message after it waits for the
/// server's delayed acknowledgement, 40 ms.
const KEPT_STATEMENTS: usize = 512;
/// Statements that a connection may have kept when it is lent: the difference is more than any transaction prepares.
const REPLACED_AT: usize = 384;

/// The relational database of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// A file of this machine: WAL, one writing connection, a pool of readers.
    Sqlite {
        /// The one connection that writes.
        writer: SqlitePool,
        /// Connections that only read; they see whatever was committed before they began.
        readers: SqlitePool,
    },
    /// MySQL 8 or MariaDB 10.11.
    MySql(MySqlPool),
}

/// The file of an SQLite database; `None` if `url` names something else.
pub fn sqlite_file(url: &SecretUrl) -> Option<PathBuf> {
    let sqlite = (url.scheme() == "sqlite").then(|| SqliteConnectOptions::from_str(url.expose()).ok()).flatten()?;
    Some(sqlite.get_filename().to_owned())
}

impl Db {
    /// Connects. A missing SQLite file is created, its folder too.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when there is no answer within [`ACQUIRE_TIMEOUT`]; what the server or the file system
    /// said otherwise, a wrong password included.
    pub async fn connect(url: &SecretUrl, connections: u32) -> Result<Self, DbError> {
        match url.scheme() {
            "sqlite" => Self::open_sqlite(url.expose(), connections).await,
            _ => Self::connect_mysql(url.expose(), connections).await,
        }
    }

    async fn open_sqlite(url: &str, connections: u32) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode a power cut may lose the last commits with NORMAL; an acknowledged entry must not be lost.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        if let Some(folder) = options.get_filename().parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
        }
        let pool = |size| {
            // There is no network in between that could have cut a connection.
            let options = SqlitePoolOptions::new().max_connections(size).test_before_acquire(false);
            options.acquire_timeout(ACQUIRE_TIMEOUT)
        };
        // The writer comes first: it creates the file and switches it to WAL.
        let writer = pool(1).connect_with(options.clone()).await?;
        let readers = pool(connections.max(1)).connect_lazy_with(options.read_only(true));
        Ok(Self::Sqlite { writer, readers })
    }

    async fn connect_mysql(url: &str, connections: u32) -> Result<Self, DbError> {
        let options = MySqlConnectOptions::from_str(url)?
            .statement_cache_capacity(KEPT_STATEMENTS)
            .timezone(None)
            .pipes_as_concat(false)
            .no_engine_substitution(false);
        let connect = MySqlPoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    // Asking first doubles the round trips, so a connection that has just worked is trusted; when it is
                    // gone all the same, what only reads is run again on another.
                    Ok(meta.idle_for < TRUSTED_FOR || connection.ping().await.is_ok())
                })
            })
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::raw_sql(settings::SESSION).execute(&mut *connection).await?;
                    Ok(())
                })
            })
            .connect_with(options);
        let pool = tokio::time::timeout(ACQUIRE_TIMEOUT, connect)
            .await
            .map_err(|_| DbError::Unavailable("no answer to connecting".to_owned()))??;
        Ok(Self::MySql(pool))
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// Why there was none.
    pub async fn ping(&self) -> Result<(), DbError> {
        let ping = async {
            match self {
                Self::Sqlite { readers, .. } => {
                    let mut lease = Lease::take(readers).await?;
                    let outcome = lease.connection().ping().await;
                    lease.settle(outcome)
                }
                Self::MySql(pool) => {
                    let mut lease = Lease::take(pool).await?;
                    let outcome = lease.connection().ping().await;
                    lease.settle(outcome)
                }
            }
        };
        tokio::time::timeout(ACQUIRE_TIMEOUT, ping)
            .await
            .map_err(|_| DbError::Unavailable("no answer to a ping".to_owned()))?
            .map_err(DbError::from)
    }

    /// Writes something small, as the services do all the time: it proves that writes are taken and committed.
    ///
    /// # Errors
    /// Why it was not written.
    pub async fn try_write(&self) -> Result<(), DbError> {
        match sql("UPDATE readiness SET checks = checks + 1 WHERE id = 1").run(self).await? {
            1 => Ok(()),
            _ => Err(DbError::Unavailable("its table readiness has lost its row".to_owned())),
        }
    }

    /// Closes every connection once it is idle.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::MySql(pool) => pool.close().await,
        }
    }
}
