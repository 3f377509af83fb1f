//! Transactions: one that did not end cleanly is undone by closing its connection, and one that gave way runs again.

use std::time::Duration;

use sqlx::{Executor as _, MySql, Sqlite};
use tokio::time::Instant;

use super::{
    Db, DbError, MaybeContention, STATEMENT_TIMEOUT,
    call::{in_time, while_connection_is_gone},
    lease::Lease,
};

/// How often a transaction that gives way is run, at most.
const ATTEMPTS: u32 = 8;

/// A transaction: dropped without [`Tx::commit`] it is undone, and its connection closed.
#[derive(Debug)]
pub struct Tx {
    pub(super) connection: TxConnection,
    state: State,
}

/// The connection of a transaction.
#[derive(Debug)]
pub(super) enum TxConnection {
    /// SQLite, begun `IMMEDIATE`: it holds the write lock from its start, so it cannot fail half-way for want of it.
    Sqlite(Lease<Sqlite>),
    /// MySQL or MariaDB, read committed.
    MySql(Lease<MySql>),
}

/// Whether a transaction takes statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It does.
    Open,
    /// A statement gave way to another transaction, and the database may have undone this one: what came next would be
    /// committed by itself.
    Undone,
    /// A statement has not ended, or its connection is of no use any more.
    Broken,
}

impl Db {
    /// Begins a transaction. Prefer [`transaction!`](crate::transaction), which runs it again when it gives way.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when no connection is free in time.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let connection = in_time(async {
            Ok(match self {
                Self::Sqlite { writer, .. } => {
                    let mut lease = Lease::take(writer).await?;
                    match lease.connection().execute("BEGIN IMMEDIATE").await {
                        Ok(_) => TxConnection::Sqlite(lease),
                        Err(error) => return lease.settle(Err(error)),
                    }
                }
                Self::MySql(pool) => TxConnection::MySql(while_connection_is_gone!(pool.size(), async {
                    let mut lease = Lease::take(pool).await?;
                    match lease.connection().execute("BEGIN").await {
                        Ok(_) => Ok(lease),
                        Err(error) => lease.settle(Err(error)),
                    }
                })?),
            })
        })
        .await?;
        Ok(Tx { connection, state: State::Open })
    }
}

impl Tx {
    /// Says that a statement begins.
    pub(super) fn begin_call(&mut self) -> Result<(), DbError> {
        if self.state != State::Open {
            return Err(over());
        }
        self.state = State::Broken;
        Ok(())
    }

    /// Says how it has ended.
    pub(super) fn end_call<T>(&mut self, outcome: Result<T, DbError>) -> Result<T, DbError> {
        self.state = match &outcome {
            Ok(_) | Err(DbError::UniqueViolation(_) | DbError::Other(sqlx::Error::Database(_))) => State::Open,
            Err(DbError::Contention(_)) => State::Undone,
            Err(DbError::Unavailable(_) | DbError::Other(_)) => State::Broken,
        };
        outcome
    }

    /// Makes what was done permanent.
    ///
    /// # Errors
    /// The transaction is undone, or whether it is done is unknown when the connection broke or nothing came in time.
    pub async fn commit(self) -> Result<(), DbError> {
        if self.state != State::Open {
            return Err(over());
        }
        self.end("COMMIT").await
    }

    /// Undoes it now rather than by closing its connection.
    async fn rollback(self) {
        if self.state == State::Broken {
            return;
        }
        if let Err(error) = self.end("ROLLBACK").await {
            tracing::debug!(%error, "a transaction was undone by closing its connection");
        }
    }

    async fn end(self, how: &'static str) -> Result<(), DbError> {
        in_time(async {
            match self.connection {
                TxConnection::Sqlite(mut lease) => lease.connection().execute(how).await.map(|_| lease.give_back()),
                TxConnection::MySql(mut lease) => lease.connection().execute(how).await.map(|_| lease.give_back()),
            }
        })
        .await
    }
}

fn over() -> DbError {
    DbError::Unavailable("the transaction had failed before".to_owned())
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

/// Counts how often something that may give way to other transactions was run.
#[derive(Debug)]
pub struct Attempts {
    made: u32,
    began: Instant,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { made: 0, began: Instant::now() }
    }
}

impl Attempts {
    /// Ends a transaction as its outcome says. `None`: it gave way to another, so run it again.
    pub async fn settle<T, E>(&mut self, tx: Tx, outcome: Result<T, E>) -> Option<Result<T, E>>
    where
        E: From<DbError> + MaybeContention,
    {
        let outcome = match outcome {
            Ok(value) => tx.commit().await.map(|()| value).map_err(E::from),
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        };
        self.unless_again(outcome).await
    }

    /// The outcome, or `None` after a pause if it was to give way and may be tried again: not too often, and not for
    /// longer than a statement may take.
    pub(super) async fn unless_again<T, E: MaybeContention>(&mut self, outcome: Result<T, E>) -> Option<Result<T, E>> {
        self.made += 1;
        let again = outcome.as_ref().err().is_some_and(MaybeContention::is_contention);
        if !again || self.made >= ATTEMPTS || self.began.elapsed() >= STATEMENT_TIMEOUT {
            return Some(outcome);
        }
        // Jitter keeps two losers from meeting again.
        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=4 * u64::from(self.made)))).await;
        None
    }
}
