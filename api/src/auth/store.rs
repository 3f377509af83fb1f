//! Accounts in SQL: sign-up, look-up, row locks, profile changes.

use common::{
    db::{Db, DbError, Executor, MaybeContention, Tx, sql},
    ids::Env,
    text::fold,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use super::{
    rules::ProfileChange,
    sessions::{self, Device, Grant},
};

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

/// Fields of a new account, validated.
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
    /// `monday` or `sunday`.
    pub week_start: String,
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

impl MaybeContention for AccountError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}

const COLUMNS: &str = "id, email, password_hash, nickname, time_zone, week_start, created_at, withdrawn_at";

/// Creates an account and begins its first session.
///
/// # Errors
/// See [`AccountError`].
pub async fn sign_up(db: &Db, env: &Env, new: NewUser, device: &Device) -> Result<(User, Grant), AccountError> {
    let user = User {
        id: env.ids.next_id(),
        email: Some(new.email),
        password_hash: Some(new.password_hash),
        nickname: new.nickname,
        time_zone: new.time_zone,
        week_start: new.week_start,
        created_at: env.clock.now(),
        withdrawn_at: None,
    };
    let made = transaction!(db, |tx| async {
        insert(tx, &user).await?;
        Ok::<_, AccountError>(sessions::begin(tx, env, user.id, device).await?)
    });
    match made {
        Ok(grant) => Ok((user, grant)),
        Err(AccountError::Db(DbError::UniqueViolation(_))) => Err(find_taken_key(db, &user).await?),
        Err(error) => Err(error),
    }
}

async fn insert(tx: &mut Tx, user: &User) -> Result<(), DbError> {
    let email = user.email.as_deref();
    sql("INSERT INTO users (id, email, email_key, password_hash, nickname, nickname_key, time_zone, week_start, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(user.id)
    .bind(email)
    .bind(email.map(fold))
    .bind(user.password_hash.as_deref())
    .bind(&user.nickname)
    .bind(fold(&user.nickname))
    .bind(&user.time_zone)
    .bind(&user.week_start)
    .bind(user.created_at)
    .run(tx)
    .await?;
    Ok(())
}

/// Queries which unique key collided: the text of the error differs between databases.
async fn find_taken_key(db: &Db, user: &User) -> Result<AccountError, DbError> {
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

/// The account with an id, unless it was withdrawn.
///
/// # Errors
/// See [`DbError`].
pub async fn active_user(executor: impl Executor, id: Uuid) -> Result<Option<User>, DbError> {
    Ok(user(executor, id).await?.filter(|user| user.withdrawn_at.is_none()))
}

/// The account with an id. Its row is locked until the transaction ends.
///
/// # Errors
/// See [`DbError`].
pub async fn lock_user(tx: &mut Tx, id: Uuid) -> Result<Option<User>, DbError> {
    let select = format!("SELECT {COLUMNS} FROM users WHERE id = ?{}", tx.dialect().for_update());
    sql(select).bind(id).optional(tx).await
}

/// The account with an id, unless it was withdrawn. Its row is locked until the transaction ends.
///
/// # Errors
/// See [`DbError`].
pub async fn lock_active_user(tx: &mut Tx, id: Uuid) -> Result<Option<User>, DbError> {
    Ok(lock_user(tx, id).await?.filter(|user| user.withdrawn_at.is_none()))
}

/// The account with an email, compared case-insensitively.
///
/// # Errors
/// See [`DbError`].
pub async fn user_by_email(executor: impl Executor, email: &str) -> Result<Option<User>, DbError> {
    sql(format!("SELECT {COLUMNS} FROM users WHERE email_key = ?")).bind(fold(email)).optional(executor).await
}

/// Changes the given fields of a profile. Returns the account after the change, or `None` if it is gone.
///
/// # Errors
/// [`AccountError::NicknameTaken`], or the database's.
pub async fn change_profile(db: &Db, user: Uuid, change: &ProfileChange) -> Result<Option<User>, AccountError> {
    let changed = transaction!(db, |tx| async {
        if lock_active_user(tx, user).await?.is_none() {
            return Ok(None);
        }
        sql("UPDATE users SET nickname = COALESCE(?, nickname), nickname_key = COALESCE(?, nickname_key), \
             time_zone = COALESCE(?, time_zone), week_start = COALESCE(?, week_start) WHERE id = ?")
        .bind(change.nickname.as_deref())
        .bind(change.nickname.as_deref().map(fold))
        .bind(change.time_zone.as_deref())
        .bind(change.week_start.as_deref())
        .bind(user)
        .run(&mut *tx)
        .await?;
        lock_active_user(tx, user).await
    });
    changed.map_err(|error| match error {
        DbError::UniqueViolation(_) => AccountError::NicknameTaken,
        error => error.into(),
    })
}
