//! Limits of one call to the database: how long it may take, and how often it runs again on another connection.

use super::{DbError, STATEMENT_TIMEOUT};

/// What the database does within [`STATEMENT_TIMEOUT`].
pub(super) async fn in_time<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DbError> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, statement).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(DbError::Unavailable(format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs()))),
    }
}

/// Runs `$attempt` again on the next connection, `$more` times at most, while it fails because its connection is gone.
macro_rules! while_connection_is_gone {
    ($more:expr, $attempt:expr) => {{
        let mut more = $more;
        loop {
            match $attempt.await {
                Err(error) if more > 0 && $crate::db::error::is_gone(&error) => more -= 1,
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use while_connection_is_gone;
