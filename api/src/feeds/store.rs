//! Tokens of calendar feeds, and the meetups of a feed, in SQL.

use common::{
    db::{Db, DbError, Executor, sql},
    membership::MemberState,
    time::Timestamp,
};
use uuid::Uuid;

use crate::meetups::row::{COLUMNS, FROM, MeetupRow};

/// Meetups of a feed, at most.
const MAX_EVENTS: u32 = 200;

/// The token of a user's feed; `new` is stored if there is none.
///
/// # Errors
/// See [`DbError`].
pub async fn find_or_create_token(db: &Db, user: Uuid, new: &str, now: Timestamp) -> Result<String, DbError> {
    if let Some(token) = find(db, user).await? {
        return Ok(token);
    }
    let insert =
        format!("{} INTO calendar_feeds (user_id, token, created_at) VALUES (?, ?, ?)", db.dialect().insert_ignore());
    sql(insert).bind(user).bind(new).bind(now).run(db).await?;
    // A concurrent request may have stored another token first.
    Ok(find(db, user).await?.unwrap_or_else(|| new.to_owned()))
}

async fn find(db: &Db, user: Uuid) -> Result<Option<String>, DbError> {
    sql("SELECT CAST(token AS CHAR) FROM calendar_feeds WHERE user_id = ?").bind(user).scalar(db).await
}

/// Revokes a user's feed; the next one has another address.
///
/// # Errors
/// See [`DbError`].
pub async fn revoke(executor: impl Executor, user: Uuid) -> Result<(), DbError> {
    sql("DELETE FROM calendar_feeds WHERE user_id = ?").bind(user).run(executor).await?;
    Ok(())
}

/// The active owner of a feed's token.
///
/// # Errors
/// See [`DbError`].
pub async fn find_owner(db: &Db, token: &str) -> Result<Option<Uuid>, DbError> {
    sql("SELECT f.user_id FROM calendar_feeds f JOIN users u ON u.id = f.user_id WHERE f.token = ? AND u.withdrawn_at IS NULL")
        .bind(token)
        .scalar(db)
        .await
}

/// The meetups that a user takes part in and that have not ended before `since`, the next first.
///
/// # Errors
/// See [`DbError`].
pub async fn list_meetups(db: &Db, user: Uuid, since: Timestamp) -> Result<Vec<MeetupRow>, DbError> {
    sql(format!(
        "SELECT {COLUMNS}{FROM} JOIN meetup_members mm ON mm.meetup_id = m.id \
         WHERE mm.user_id = ? AND mm.state = ? AND m.ends_at >= ? ORDER BY m.starts_at, m.id LIMIT ?"
    ))
    .bind(user)
    .bind(MemberState::Member.as_str())
    .bind(since)
    .bind(MAX_EVENTS)
    .all(db)
    .await
}
