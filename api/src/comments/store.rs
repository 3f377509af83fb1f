//! Comments in SQL. Every change of their number holds the lock of the meetup's row, which has the count.

use common::{
    db::{Db, DbError, Executor, MaybeContention, Tx, sql},
    ids::Env,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;
use wire::Person;

use super::model::{Comment, MyComment};
use crate::{
    auth::store as accounts,
    meetups::{error::MeetupError, members},
};

/// Why a comment cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum CommentError {
    /// There is none with this id, or no such meetup.
    #[error("no such comment")]
    NotFound,
    /// The caller is not its author.
    #[error("someone else wrote it")]
    NotTheAuthor,
    /// The account of the caller was withdrawn.
    #[error("no such account")]
    NoAccount,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl MaybeContention for CommentError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}

impl From<MeetupError> for CommentError {
    fn from(error: MeetupError) -> Self {
        match error {
            MeetupError::Db(error) => Self::Db(error),
            _ => Self::NotFound,
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    meetup_id: Uuid,
    user_id: Uuid,
    nickname: String,
    text: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Row> for Comment {
    fn from(row: Row) -> Self {
        let Row { id, meetup_id, user_id, nickname, text, created_at, updated_at } = row;
        Self { id, meetup_id, user: Person { id: user_id, nickname }, text, created_at, updated_at }
    }
}

#[derive(sqlx::FromRow)]
struct MyRow {
    id: Uuid,
    meetup_id: Uuid,
    title: String,
    text: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<MyRow> for MyComment {
    fn from(row: MyRow) -> Self {
        let MyRow { id, meetup_id, title, text, created_at, updated_at } = row;
        Self { id, meetup_id, meetup_title: title, text, created_at, updated_at }
    }
}

const SELECT: &str = "SELECT c.id, c.meetup_id, c.user_id, u.nickname, c.text, c.created_at, c.updated_at \
    FROM comments c JOIN users u ON u.id = c.user_id";

async fn find(executor: impl Executor, id: Uuid) -> Result<Comment, CommentError> {
    let row: Option<Row> = sql(format!("{SELECT} WHERE c.id = ?")).bind(id).optional(executor).await?;
    row.map(Into::into).ok_or(CommentError::NotFound)
}

/// The comments on a meetup written before the one with id `before`, the latest first.
///
/// # Errors
/// See [`DbError`].
pub async fn list(db: &Db, meetup: Uuid, before: Option<Uuid>, limit: u32) -> Result<Vec<Comment>, DbError> {
    let before_it = if before.is_some() { " AND c.id < ?" } else { "" };
    let select = sql(format!("{SELECT} WHERE c.meetup_id = ?{before_it} ORDER BY c.id DESC LIMIT ?"));
    let rows: Vec<Row> = select.bind(meetup).bind_all(before).bind(limit).all(db).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The comments that a user wrote before the one with id `before`, the latest first.
///
/// # Errors
/// See [`DbError`].
pub async fn list_of(db: &Db, user: Uuid, before: Option<Uuid>, limit: u32) -> Result<Vec<MyComment>, DbError> {
    let before_it = if before.is_some() { " AND c.id < ?" } else { "" };
    let select = sql(format!(
        "SELECT c.id, c.meetup_id, m.title, c.text, c.created_at, c.updated_at FROM comments c \
         JOIN meetups m ON m.id = c.meetup_id WHERE c.user_id = ?{before_it} ORDER BY c.id DESC LIMIT ?"
    ));
    let rows: Vec<MyRow> = select.bind(user).bind_all(before).bind(limit).all(db).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Writes a comment.
///
/// # Errors
/// See [`CommentError`].
pub async fn write(db: &Db, env: &Env, meetup: Uuid, user: Uuid, text: &str) -> Result<Comment, CommentError> {
    let (id, now) = (env.ids.next_id(), env.clock.now());
    transaction!(db, |tx| async {
        lock_author(tx, user).await?;
        members::lock(tx, meetup).await?;
        sql("INSERT INTO comments (id, meetup_id, user_id, text, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(id)
            .bind(meetup)
            .bind(user)
            .bind(text)
            .bind(now)
            .bind(now)
            .run(&mut *tx)
            .await?;
        adjust_count(tx, meetup, 1).await?;
        find(&mut *tx, id).await
    })
}

/// Locks the account of the caller: always before the meetup's row.
async fn lock_author(tx: &mut Tx, user: Uuid) -> Result<(), CommentError> {
    accounts::lock_active_user(tx, user).await?.map(drop).ok_or(CommentError::NoAccount)
}

async fn adjust_count(tx: &mut Tx, meetup: Uuid, by: i64) -> Result<(), DbError> {
    let update = sql("UPDATE meetups SET comment_count = comment_count + ? WHERE id = ?");
    update.bind(by).bind(meetup).run(&mut *tx).await?;
    Ok(())
}

/// Edits a comment; its author only.
///
/// # Errors
/// See [`CommentError`].
pub async fn edit(db: &Db, env: &Env, id: Uuid, user: Uuid, text: &str) -> Result<Comment, CommentError> {
    let now = env.clock.now();
    transaction!(db, |tx| async {
        lock_author(tx, user).await?;
        if find(&mut *tx, id).await?.user.id != user {
            return Err(CommentError::NotTheAuthor);
        }
        let update = sql("UPDATE comments SET text = ?, updated_at = ? WHERE id = ?");
        update.bind(text).bind(now).bind(id).run(&mut *tx).await?;
        find(&mut *tx, id).await
    })
}

/// Deletes a comment; its author or the host of the meetup only.
///
/// # Errors
/// See [`CommentError`].
pub async fn delete(db: &Db, id: Uuid, user: Uuid) -> Result<(), CommentError> {
    transaction!(db, |tx| async {
        lock_author(tx, user).await?;
        let comment = find(&mut *tx, id).await?;
        let meetup = members::lock(tx, comment.meetup_id).await?;
        if comment.user.id != user && meetup.host_id != user {
            return Err(CommentError::NotTheAuthor);
        }
        // Another request may have deleted it while this one waited for the lock.
        if sql("DELETE FROM comments WHERE id = ?").bind(id).run(&mut *tx).await? == 0 {
            return Err(CommentError::NotFound);
        }
        Ok(adjust_count(tx, comment.meetup_id, -1).await?)
    })
}
