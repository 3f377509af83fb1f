//! Withdrawal of an account and its restoration within a month, in SQL, under the lock of its row.

use std::time::Duration;

use common::{
    bootstrap::Backends,
    config::Secret,
    db::{Db, DbError, Tx, sql},
    ids::Env,
    outbox_transaction,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use crate::{
    auth::{
        secrets,
        sessions::{self, Device, Grant},
        store,
    },
    meetups::cancel,
};

/// How long a restore token is valid.
const RESTORE_TTL: Duration = Duration::from_secs(600);

/// Withdraws an account: its sessions end and the upcoming meetups it hosts are cancelled. Withdrawing twice is the same
/// as once. The caller tells the gateways.
///
/// # Errors
/// See [`DbError`].
pub async fn withdraw(backends: &Backends, user: Uuid) -> Result<(), DbError> {
    let now = backends.env.clock.now();
    outbox_transaction!(backends, |tx, outbox| async {
        let withdrawn = sql("UPDATE users SET withdrawn_at = ? WHERE id = ? AND withdrawn_at IS NULL")
            .bind(now)
            .bind(user)
            .run(&mut *tx)
            .await?;
        if withdrawn > 0 {
            sessions::revoke_all_but(tx, user, None, now).await?;
            cancel::cancel_upcoming_of(tx, outbox, user).await?;
        }
        Ok::<_, DbError>(())
    })
}

/// Issues a token that restores a withdrawn account; it replaces an earlier one.
///
/// # Errors
/// See [`DbError`].
pub async fn issue_restore_token(tx: &mut Tx, env: &Env, user: Uuid) -> Result<Secret, DbError> {
    let token = secrets::new();
    let upsert = tx.dialect().upsert("user_id", &["hash", "expires_at"]);
    sql(format!("INSERT INTO restore_tokens (user_id, hash, expires_at) VALUES (?, ?, ?){upsert}"))
        .bind(user)
        .bind(secrets::hash(&token))
        .bind(env.clock.now() + RESTORE_TTL)
        .run(tx)
        .await?;
    Ok(Secret::new(token))
}

/// Restores an account and begins a session; `None` if the token is unknown, expired or used.
///
/// # Errors
/// See [`DbError`].
pub async fn restore(db: &Db, env: &Env, token: &str, device: &Device) -> Result<Option<Grant>, DbError> {
    let hash = secrets::hash(token);
    transaction!(db, |tx| async {
        let Some(user) = redeem_token(tx, &hash, env.clock.now()).await? else { return Ok(None) };
        Ok::<_, DbError>(Some(sessions::begin(tx, env, user, device).await?))
    })
}

async fn redeem_token(tx: &mut Tx, hash: &[u8], now: Timestamp) -> Result<Option<Uuid>, DbError> {
    let user: Option<Uuid> =
        sql("SELECT user_id FROM restore_tokens WHERE hash = ?").bind(hash).scalar(&mut *tx).await?;
    let Some(user) = user else { return Ok(None) };
    // The account's row is locked from here on: of two requests with the same token one finds it deleted, as does a
    // request that comes after the purge has begun.
    store::lock_user(tx, user).await?;
    let used =
        sql("DELETE FROM restore_tokens WHERE hash = ? AND expires_at > ?").bind(hash).bind(now).run(&mut *tx).await?;
    if used == 0 {
        return Ok(None);
    }
    sql("UPDATE users SET withdrawn_at = NULL WHERE id = ?").bind(user).run(&mut *tx).await?;
    Ok(Some(user))
}
