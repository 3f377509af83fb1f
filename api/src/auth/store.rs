//! Accounts, sessions and refresh tokens in SQL.

use std::time::Duration;

use common::{
    db::{Db, DbError, Executor, Tx, sql},
    ids::Surroundings,
    text::fold,
    time::Timestamp,
    transaction,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A token used again within this time is taken for one whose reply was lost.
pub const REUSE_GRACE: Duration = Duration::from_secs(10);

/// An account.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Absent for accounts made by social log-in without one.
    pub email: Option<String>,
    /// bcrypt's text; absent for accounts without a password.
    pub password_hash: Option<String>,
    /// As others see it.
    pub nickname: String,
    /// An IANA name.
    pub time_zone: String,
    /// `monday` or `sunday`.
    pub week_start: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
}

/// What a new account needs.
#[derive(Debug)]
pub struct NewUser {
    /// Its email.
    pub email: String,
    /// bcrypt's text.
    pub password_hash: String,
    /// Its nickname.
    pub nickname: String,
    /// An IANA name.
    pub time_zone: String,
}

/// Why an account cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Another has the email.
    #[error("the email is taken")]
    EmailTaken,
    /// Another has the nickname.
    #[error("the nickname is taken")]
    NicknameTaken,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

const COLUMNS: &str = "id, email, password_hash, nickname, time_zone, week_start, created_at, withdrawn_at";

/// Makes an account.
///
/// # Errors
/// See [`AccountError`].
pub async fn create_user(db: &Db, around: &Surroundings, new: NewUser) -> Result<User, AccountError> {
    let user = User {
        id: around.ids.next_id(),
        email: Some(new.email),
        password_hash: Some(new.password_hash),
        nickname: new.nickname,
        time_zone: new.time_zone,
        week_start: "monday".to_owned(),
        created_at: around.clock.now(),
        withdrawn_at: None,
    };
    let inserted = sql("INSERT INTO users (id, email, email_key, password_hash, nickname, nickname_key, time_zone, week_start, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(user.id)
    .bind(user.email.as_deref())
    .bind(user.email.as_deref().map(fold))
    .bind(user.password_hash.as_deref())
    .bind(&user.nickname)
    .bind(fold(&user.nickname))
    .bind(&user.time_zone)
    .bind(&user.week_start)
    .bind(user.created_at)
    .run(db)
    .await;
    match inserted {
        Ok(_) => Ok(user),
        Err(DbError::UniqueViolation(_)) => Err(which_is_taken(db, &user).await?),
        Err(error) => Err(error.into()),
    }
}

/// Which key collided is asked, not read from the error's text, which differs between databases.
async fn which_is_taken(db: &Db, user: &User) -> Result<AccountError, DbError> {
    let email = user.email.as_deref().map(fold);
    let taken: Option<i64> = sql("SELECT 1 FROM users WHERE email_key = ?").bind(email).scalar(db).await?;
    Ok(if taken.is_some() { AccountError::EmailTaken } else { AccountError::NicknameTaken })
}

/// The account with an id.
///
/// # Errors
/// See [`DbError`].
pub async fn user(executor: impl Executor, id: Uuid) -> Result<Option<User>, DbError> {
    sql(format!("SELECT {COLUMNS} FROM users WHERE id = ?")).bind(id).optional(executor).await
}

/// The account with an email, whatever its case.
///
/// # Errors
/// See [`DbError`].
pub async fn user_by_email(executor: impl Executor, email: &str) -> Result<Option<User>, DbError> {
    sql(format!("SELECT {COLUMNS} FROM users WHERE email_key = ?")).bind(fold(email)).optional(executor).await
}

/// What a log-in gives the client, to be shown once.
#[derive(Debug)]
pub struct Grant {
    /// The account.
    pub user: Uuid,
    /// The session.
    pub session: Uuid,
    /// The refresh token.
    pub refresh_token: String,
}

/// Begins a session on a device.
///
/// # Errors
/// See [`DbError`].
pub async fn begin_session(
    db: &Db,
    around: &Surroundings,
    user: Uuid,
    device: &str,
    ttl: Duration,
) -> Result<Grant, DbError> {
    let (session, now) = (around.ids.next_id(), around.clock.now());
    let refresh_token = transaction!(db, |tx| async {
        sql("INSERT INTO sessions (id, user_id, device, created_at, last_used_at) VALUES (?, ?, ?, ?, ?)")
            .bind(session)
            .bind(user)
            .bind(device)
            .bind(now)
            .bind(now)
            .run(&mut *tx)
            .await?;
        issue_refresh_token(&mut *tx, session, now, ttl).await
    })?;
    Ok(Grant { user, session, refresh_token })
}

/// The outcome of showing a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// A new one.
    Granted(Grant),
    /// Unknown, expired or revoked.
    Refused,
    /// Used before: the session is revoked now, for one of the two who hold it is a thief.
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
pub async fn refresh(db: &Db, around: &Surroundings, token: &str, ttl: Duration) -> Result<Refreshed, DbError> {
    let (hash, now) = (hash(token), around.clock.now());
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
    let token = new_secret();
    sql("INSERT INTO refresh_tokens (hash, session_id, issued_at, expires_at) VALUES (?, ?, ?, ?)")
        .bind(hash(&token))
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

/// A secret of 256 random bits.
fn new_secret() -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// What is stored of a secret. It is random enough that a fast hash keeps it.
fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}
