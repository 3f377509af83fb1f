//! What follows a right password.

use common::{
    config::Secret,
    db::{Db, DbError, Tx},
    ids::Env,
    transaction,
};

use super::{
    sessions::{self, Device, Grant},
    store::{self, User},
};
use crate::me::withdrawal;

/// The outcome of a log-in whose password was right.
#[derive(Debug)]
pub enum LogInOutcome {
    /// A session has begun.
    Granted(User, Grant),
    /// The account is withdrawn; the token brings it back.
    Withdrawn(Secret),
    /// The password was replaced, or the account purged, while it was compared.
    Stale,
}

/// Logs in the account that `seen` was a moment ago, when its password was found right.
///
/// Comparing takes long enough for the account to change: it is looked at again under the lock of its row, so that no
/// session outlives the withdrawal or the new password that was to end it.
///
/// # Errors
/// See [`DbError`].
pub async fn log_in(db: &Db, env: &Env, seen: &User, device: &Device) -> Result<LogInOutcome, DbError> {
    transaction!(db, |tx| log_in_locked(tx, env, seen, device))
}

async fn log_in_locked(tx: &mut Tx, env: &Env, seen: &User, device: &Device) -> Result<LogInOutcome, DbError> {
    let user = store::lock_user(tx, seen.id).await?.filter(|user| user.password_hash == seen.password_hash);
    let Some(user) = user else { return Ok(LogInOutcome::Stale) };
    if user.withdrawn_at.is_some() {
        return Ok(LogInOutcome::Withdrawn(withdrawal::issue_restore_token(tx, env, user.id).await?));
    }
    let grant = sessions::begin(tx, env, user.id, device).await?;
    Ok(LogInOutcome::Granted(user, grant))
}
