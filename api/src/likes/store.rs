//! Likes in SQL.

use common::{
    db::{Db, DbError, Executor, Tx, sql},
    ids::Env,
    transaction,
};
use uuid::Uuid;

use crate::{
    auth::store as accounts,
    meetups::{error::MeetupError, members},
};

/// Whether someone likes a meetup.
///
/// # Errors
/// See [`DbError`].
pub async fn find(executor: impl Executor, meetup: Uuid, user: Uuid) -> Result<bool, DbError> {
    let find = sql("SELECT at FROM meetup_likes WHERE meetup_id = ? AND user_id = ?").bind(meetup).bind(user);
    Ok(find.scalar::<i64>(executor).await?.is_some())
}

/// Sets or clears a like; idempotent. Returns the number of likes.
///
/// # Errors
/// [`MeetupError::NoAccount`], [`MeetupError::NotFound`], or the database's.
pub async fn set(db: &Db, env: &Env, meetup: Uuid, user: Uuid, likes: bool) -> Result<i64, MeetupError> {
    transaction!(db, |tx| set_in(tx, env, meetup, user, likes))
}

async fn set_in(tx: &mut Tx, env: &Env, meetup: Uuid, user: Uuid, likes: bool) -> Result<i64, MeetupError> {
    accounts::lock_active_user(tx, user).await?.ok_or(MeetupError::NoAccount)?;
    members::lock(tx, meetup).await?;
    let change = match (find(&mut *tx, meetup, user).await?, likes) {
        (false, true) => {
            let insert = sql("INSERT INTO meetup_likes (meetup_id, user_id, at) VALUES (?, ?, ?)");
            insert.bind(meetup).bind(user).bind(env.clock.now()).run(&mut *tx).await?;
            1
        }
        (true, false) => {
            let delete = sql("DELETE FROM meetup_likes WHERE meetup_id = ? AND user_id = ?");
            delete.bind(meetup).bind(user).run(&mut *tx).await?;
            -1
        }
        _ => 0,
    };
    if change != 0 {
        let update = sql("UPDATE meetups SET like_count = like_count + ? WHERE id = ?");
        update.bind(change).bind(meetup).run(&mut *tx).await?;
    }
    let count = sql("SELECT like_count FROM meetups WHERE id = ?").bind(meetup).scalar(&mut *tx).await?;
    Ok(count.unwrap_or(0))
}
