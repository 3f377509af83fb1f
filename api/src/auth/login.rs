//! Log-in of an account whose password was verified, under the lock of its row.

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

/// Outcome of a log-in with the right password.
#[derive(Debug)]
pub enum LogInOutcome {
    /// A session has begun.
    Granted(User, Grant),
    /// The account is withdrawn; the token restores it.
    Withdrawn(Secret),
    /// The password was replaced, or the account purged, while the hash was computed.
    Stale,
}

/// Logs in the account that was `seen` when its password was verified.
///
/// Hashing takes long enough for the account to change, so it is read again under the lock of its row: no session
/// outlives a withdrawal or a password change that ends sessions.
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
