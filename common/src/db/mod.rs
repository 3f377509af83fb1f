//! SQL written once for SQLite and MySQL/MariaDB.
//!
//! A [`Query`] is a text with `?` placeholders and its values; [`Db`] runs it on whichever pool it holds. Ids are
//! [`uuid::Uuid`]s in 16-byte columns and times are [`Timestamp`]s in 64-bit columns, both made in Rust, so that no
//! statement needs a function of one dialect. Where dialects really differ, [`dialect`] has both.
//!
//! ```ignore
//! let user: Option<User> = sql("SELECT id, nickname FROM users WHERE id = ?").bind(id).optional(&db).await?;
//! ```

pub mod dialect;
mod migrate;
mod query;
pub mod recorder;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    Connection, MySql, MySqlPool, Sqlite, SqlitePool, Transaction,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use self::{
    migrate::{MigrateError, SchemaState},
    query::{Executor, Query, Row, Value, insert_rows, sql},
};
use crate::config::SecretUrl;

/// The longest that connecting, or waiting for a free connection, may take.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// For how long a connection that has worked is used without asking whether the server is still there.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// The longest that one statement may take.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a transaction that loses a deadlock is run, at most.
const TRANSACTION_ATTEMPTS: u32 = 8;

/// What can go wrong with the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A unique key already has this value.
    #[error("a row with this key exists")]
    UniqueViolation(#[source] sqlx::Error),
    /// The transaction lost a deadlock or a wait for a lock; running it again may succeed.
    #[error("the transaction gave way to another")]
    Contention(#[source] sqlx::Error),
    /// No connection could be had, or the statement took too long.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// Anything else: a mistake in a statement or a row that does not fit its type.
    #[error("the database answered with an error: {0}")]
    Other(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => Self::UniqueViolation(error),
            sqlx::Error::Database(database) if dialect::is_contention(database.as_ref()) => Self::Contention(error),
            _ if dialect::is_gone(&error) => Self::Unavailable(error.to_string()),
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Other(error),
        }
    }
}

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

/// A transaction: dropped without [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, begun `IMMEDIATE`: it holds the write lock from its start, so it cannot fail half-way for want of it.
    Sqlite(Transaction<'static, Sqlite>),
    /// On MySQL or MariaDB, read committed.
    MySql(Transaction<'static, MySql>),
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
        let options = MySqlConnectOptions::from_str(url)?.timezone(None);
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
                    // Gap locks of the default level deadlock on concurrent inserts; no rule of ours needs them.
                    sqlx::query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                        .execute(&mut *connection)
                        .await?;
                    Ok(())
                })
            })
            .connect_with(options);
        let pool = tokio::time::timeout(ACQUIRE_TIMEOUT, connect)
            .await
            .map_err(|_| DbError::Unavailable("no answer to connecting".to_owned()))??;
        Ok(Self::MySql(pool))
    }

    /// Begins a transaction. Prefer [`transaction!`](crate::transaction), which runs it again when it loses a deadlock.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when no connection is free in time.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        query::in_time(async {
            Ok(match self {
                Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
                Self::MySql(pool) => Tx::MySql(query::while_connection_is_gone!(pool.size(), pool.begin())?),
            })
        })
        .await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// Why there was none.
    pub async fn ping(&self) -> Result<(), DbError> {
        let ping = async {
            match self {
                Self::Sqlite { readers, .. } => readers.acquire().await?.ping().await,
                Self::MySql(pool) => pool.acquire().await?.ping().await,
            }
        };
        tokio::time::timeout(ACQUIRE_TIMEOUT, ping)
            .await
            .map_err(|_| DbError::Unavailable("no answer to a ping".to_owned()))?
            .map_err(DbError::from)
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

impl Tx {
    /// Makes what was done permanent.
    ///
    /// # Errors
    /// The transaction is undone, or whether it is done is unknown when the connection broke or nothing came in time.
    pub async fn commit(self) -> Result<(), DbError> {
        query::in_time(async {
            match self {
                Self::Sqlite(tx) => tx.commit().await,
                Self::MySql(tx) => tx.commit().await,
            }
        })
        .await
    }

    /// Undoes it now rather than when the connection is used next; a failure means that the connection is gone, and the
    /// transaction with it.
    async fn rollback(self) {
        let rollback = async {
            match self {
                Self::Sqlite(tx) => tx.rollback().await,
                Self::MySql(tx) => tx.rollback().await,
            }
        };
        if let Err(error) = query::in_time(rollback).await {
            tracing::debug!(%error, "rollback failed");
        }
    }
}

/// Runs a future in a transaction of a [`Db`] and commits if it returns `Ok`; runs it again, from the start, when it gave
/// way to another transaction. The future must therefore have no effect outside of its transaction.
///
/// A macro because a closure that borrows both the transaction and its surroundings cannot yet be `Send` for all lifetimes.
///
/// ```ignore
/// transaction!(db, |tx| async {
///     sql("UPDATE …").run(&mut *tx).await?;
///     Ok::<_, DbError>(())
/// })?;
/// ```
#[macro_export]
macro_rules! transaction {
    ($db:expr, |$tx:ident| $body:expr) => {{
        let mut attempts = $crate::db::Attempts::default();
        loop {
            let mut tx = match $db.begin().await {
                Ok(tx) => tx,
                Err(error) => break Err(error.into()),
            };
            let outcome = {
                let $tx = &mut tx;
                $body.await
            };
            if let Some(outcome) = attempts.settle(tx, outcome).await {
                break outcome;
            }
        }
    }};
}

/// Counts how often [`transaction!`](crate::transaction) has run its body.
#[derive(Debug, Default)]
pub struct Attempts(u32);

impl Attempts {
    /// Ends a transaction as its outcome says. `None`: it gave way to another, so run it again.
    pub async fn settle<T, E>(&mut self, tx: Tx, outcome: Result<T, E>) -> Option<Result<T, E>>
    where
        E: From<DbError> + MaybeContention,
    {
        self.0 += 1;
        let outcome = match outcome {
            Ok(value) => tx.commit().await.map(|()| value).map_err(E::from),
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        };
        match outcome {
            Err(error) if error.is_contention() && self.0 < TRANSACTION_ATTEMPTS => {
                // Jitter keeps two losers from meeting again.
                let pause = rand::random_range(1..=4 * u64::from(self.0));
                tokio::time::sleep(Duration::from_millis(pause)).await;
                None
            }
            outcome => Some(outcome),
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
