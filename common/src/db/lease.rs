//! A connection lent by a pool. It goes back only with [`Lease::give_back`] or [`Lease::settle`]; dropped in any other
//! way it is closed.
//!
//! A call that is dropped before it has ended, by a deadline or because whoever asked has gone, leaves an answer on its
//! connection, or a transaction open. The next to use that connection would read the answer of another question, or write
//! what is never committed. Closing it is the one remedy that holds for every call of both drivers.

use std::time::Duration;

use sqlx::{Connection, Database, Pool, database::HasStatementCache, pool::PoolConnection};
use tokio::time::Instant;

use super::{ACQUIRE_TIMEOUT, REPLACED_AT, error};

/// How long a pool may take to check a connection that comes back, before it is closed instead.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for a connection of our own to come back when the server gives no more, before asking again.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(super) struct Lease<DB: Database> {
    connection: PoolConnection<DB>,
    reusable: bool,
}

impl<DB: Database + HasStatementCache> Lease<DB> {
    /// Waits for a connection of `pool`, which opens one if it may. When the server gives no more connections to anybody,
    /// one that is in use here is waited for.
    pub(super) async fn take(pool: &Pool<DB>) -> Result<Self, sqlx::Error> {
        let deadline = Instant::now() + ACQUIRE_TIMEOUT;
        loop {
            match pool.acquire().await {
                Err(error) if error::server_is_full(&error) && Instant::now() + FULL_PAUSE < deadline => {
                    tokio::time::sleep(FULL_PAUSE).await;
                }
                outcome => return Ok(Self { connection: outcome?, reusable: false }),
            }
        }
    }

    /// The connection, for a call.
    pub(super) fn connection(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }

    /// Gives the connection back after a call that has ended, unless its outcome says that it should not be used again.
    pub(super) fn settle<T>(self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if outcome.as_ref().err().is_none_or(error::keeps_connection) {
            self.give_back();
        }
        outcome
    }

    /// Gives the connection back: every call has ended, and no transaction is open.
    pub(super) fn give_back(mut self) {
        self.reusable = self.connection.cached_statements_size() < REPLACED_AT;
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if self.reusable {
            // The pool asks the connection for a sign of life, and would wait for it without end.
            tokio::spawn(tokio::time::timeout(RETURN_TIMEOUT, self.connection.return_to_pool()));
        } else {
            self.connection.close_on_drop();
        }
    }
}
