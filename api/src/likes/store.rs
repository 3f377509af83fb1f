//! Likes in SQL.

use common::{
    db::{Db, Tx, sql},
    ids::Surroundings,
    transaction,
};
use uuid::Uuid;

use crate::meetups::{members, store::MeetupError};

/// Likes a meetup, or likes it no more; doing so twice is the same as once. Returns how many like it now.
///
/// # Errors
/// [`MeetupError::NotFound`], or the database's.
pub async fn set(db: &Db, around: &Surroundings, meetup: Uuid, user: Uuid, likes: bool) -> Result<i64, MeetupError> {
    transaction!(db, |tx| set_in(tx, around, meetup, user, likes))
}

async fn set_in(tx: &mut Tx, around: &Surroundings, meetup: Uuid, user: Uuid, likes: bool) -> Result<i64, MeetupError> {
    members::lock(tx, meetup).await?;
    let key = "WHERE meetup_id = ? AND user_id = ?";
    let liked: Option<i64> =
        sql(format!("SELECT at FROM meetup_likes {key}")).bind(meetup).bind(user).scalar(&mut *tx).await?;
    let change = match (liked, likes) {
        (None, true) => {
            let insert = sql("INSERT INTO meetup_likes (meetup_id, user_id, at) VALUES (?, ?, ?)");
            insert.bind(meetup).bind(user).bind(around.clock.now()).run(&mut *tx).await?;
            1
        }
        (Some(_), false) => {
            sql(format!("DELETE FROM meetup_likes {key}")).bind(meetup).bind(user).run(&mut *tx).await?;
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
