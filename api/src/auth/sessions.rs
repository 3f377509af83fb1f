//! Log-in sessions and their refresh-token families in SQL (RFC 9700, section 4.14.2).

use std::time::Duration;

use common::{
    db::{Db, DbError, Executor, Tx, sql},
    ids::Env,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use super::secrets;

/// Reuse of a refresh token within this time counts as a retry after a lost reply, not as theft.
pub const REUSE_GRACE: Duration = Duration::from_secs(10);
/// Rows that one statement of the clean-up removes, at most, so that it never holds locks for long.
const CLEAN_UP_BATCH: u32 = 500;

/// Device that a session belongs to.
#[derive(Debug)]
pub struct Device {
    /// Name that the client gives in `User-Agent`.
    pub name: String,
    /// How long its refresh tokens are valid.
    pub ttl: Duration,
}

/// Result of a log-in. The refresh token is shown once.
#[derive(Debug)]
pub struct Grant {
    /// The account.
    pub user: Uuid,
    /// The session.
    pub session: Uuid,
    /// The refresh token.
    pub refresh_token: String,
}

/// Begins a session of a user.
///
/// # Errors
/// See [`DbError`].
pub async fn begin(tx: &mut Tx, env: &Env, user: Uuid, device: &Device) -> Result<Grant, DbError> {
    let (session, now) = (env.ids.next_id(), env.clock.now());
    sql("INSERT INTO sessions (id, user_id, device, created_at, last_used_at) VALUES (?, ?, ?, ?, ?)")
        .bind(session)
        .bind(user)
        .bind(&device.name)
        .bind(now)
        .bind(now)
        .run(&mut *tx)
        .await?;
    let refresh_token = issue_refresh_token(tx, session, now, device.ttl).await?;
    Ok(Grant { user, session, refresh_token })
}

/// Outcome of presenting a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// A new one.
    Granted(Grant),
    /// Unknown, expired or revoked.
    Refused,
    /// Used before, so one of two holders has stolen it: the session is revoked now.
    Reused {
        /// Whose session it was.
        user: Uuid,
        /// The session.
        session: Uuid,
    },
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    session_id: Uuid,
    user_id: Uuid,
    expires_at: Timestamp,
    used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    withdrawn_at: Option<Timestamp>,
}

/// Swaps a refresh token for its successor.
///
/// # Errors
/// See [`DbError`].
pub async fn refresh(db: &Db, env: &Env, token: &str, ttl: Duration) -> Result<Refreshed, DbError> {
    let (hash, now) = (secrets::hash(token), env.clock.now());
    transaction!(db, |tx| refresh_in(tx, &hash, now, ttl))
}

async fn refresh_in(tx: &mut Tx, hash: &[u8], now: Timestamp, ttl: Duration) -> Result<Refreshed, DbError> {
    let select = format!(
        "SELECT t.session_id, s.user_id, t.expires_at, t.used_at, s.revoked_at, u.withdrawn_at FROM refresh_tokens t \
         JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id WHERE t.hash = ?{}",
        tx.dialect().for_update()
    );
    let Some(row) = sql(select).bind(hash).optional::<TokenRow>(&mut *tx).await? else { return Ok(Refreshed::Refused) };
    if row.revoked_at.is_some() || row.withdrawn_at.is_some() || row.expires_at <= now {
        return Ok(Refreshed::Refused);
    }
    if row.used_at.is_some_and(|used| now.since(used) > REUSE_GRACE) {
        revoke_session(&mut *tx, row.user_id, row.session_id, now).await?;
        return Ok(Refreshed::Reused { user: row.user_id, session: row.session_id });
    }
    if row.used_at.is_none() {
        sql("UPDATE refresh_tokens SET used_at = ? WHERE hash = ?").bind(now).bind(hash).run(&mut *tx).await?;
        sql("UPDATE sessions SET last_used_at = ? WHERE id = ?").bind(now).bind(row.session_id).run(&mut *tx).await?;
    }
    let refresh_token = issue_refresh_token(&mut *tx, row.session_id, now, ttl).await?;
    Ok(Refreshed::Granted(Grant { user: row.user_id, session: row.session_id, refresh_token }))
}

async fn issue_refresh_token(
    executor: impl Executor,
    session: Uuid,
    now: Timestamp,
    ttl: Duration,
) -> Result<String, DbError> {
    let token = secrets::new();
    sql("INSERT INTO refresh_tokens (hash, session_id, issued_at, expires_at) VALUES (?, ?, ?, ?)")
        .bind(secrets::hash(&token))
        .bind(session)
        .bind(now)
        .bind(now + ttl)
        .run(executor)
        .await?;
    Ok(token)
}

/// Ends a session of a user. Returns whether there was one to end.
///
/// # Errors
/// See [`DbError`].
pub async fn revoke_session(
    executor: impl Executor,
    user: Uuid,
    session: Uuid,
    now: Timestamp,
) -> Result<bool, DbError> {
    let revoked = sql("UPDATE sessions SET revoked_at = ? WHERE id = ? AND user_id = ? AND revoked_at IS NULL")
        .bind(now)
        .bind(session)
        .bind(user)
        .run(executor)
        .await?;
    Ok(revoked > 0)
}

/// Ends every session of a user but `keep`. Returns their ids.
///
/// # Errors
/// See [`DbError`].
pub async fn revoke_all_but(tx: &mut Tx, user: Uuid, keep: Option<Uuid>, now: Timestamp) -> Result<Vec<Uuid>, DbError> {
    let select =
        format!("SELECT id FROM sessions WHERE user_id = ? AND revoked_at IS NULL{}", tx.dialect().for_update());
    let open: Vec<(Uuid,)> = sql(select).bind(user).all(&mut *tx).await?;
    let ended: Vec<Uuid> = open.into_iter().map(|(id,)| id).filter(|id| Some(*id) != keep).collect();
    sql("UPDATE sessions SET revoked_at = ? WHERE id IN ").bind(now).push_list(ended.iter().copied()).run(tx).await?;
    Ok(ended)
}

/// Deletes expired refresh and restore tokens, and sessions without a valid refresh token. Returns the number of rows.
///
/// # Errors
/// See [`DbError`]; what was removed before it stays removed.
pub async fn clean_up(db: &Db, now: Timestamp, ttl: Duration) -> Result<u64, DbError> {
    let tokens = remove_in_batches(db, "refresh_tokens", "hash", "expires_at", now).await?;
    let sessions = remove_in_batches(db, "sessions", "id", "last_used_at", now - ttl).await?;
    let restores = remove_in_batches(db, "restore_tokens", "hash", "expires_at", now).await?;
    Ok(tokens + sessions + restores)
}

/// Deletes the rows whose column `time` is before `until`, in batches.
async fn remove_in_batches(db: &Db, table: &str, key: &str, time: &str, until: Timestamp) -> Result<u64, DbError> {
    let mut removed = 0;
    loop {
        let keys: Vec<(Vec<u8>,)> = sql(format!("SELECT {key} FROM {table} WHERE {time} < ? ORDER BY {time} LIMIT ?"))
            .bind(until)
            .bind(CLEAN_UP_BATCH)
            .all(db)
            .await?;
        if keys.is_empty() {
            return Ok(removed);
        }
        removed += sql(format!("DELETE FROM {table} WHERE {time} < ? AND {key} IN "))
            .bind(until)
            .push_list(keys.into_iter().map(|(key,)| key))
            .run(db)
            .await?;
    }
}
