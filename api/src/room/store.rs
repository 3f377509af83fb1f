//! In SQL: which rooms are to end, and which have.

use common::{
    db::{Db, DbError, Tx, sql},
    time::Timestamp,
};
use uuid::Uuid;

/// A meetup that is over.
#[derive(Debug, sqlx::FromRow)]
pub struct Over {
    /// Its id, which is its room's too.
    pub id: Uuid,
    /// When it was cancelled, if it was.
    pub cancelled_at: Option<Timestamp>,
}

/// Meetups that are over by `now` and whose rooms were not told before, at most `limit`. From here on they count as told.
///
/// # Errors
/// See [`DbError`].
pub async fn take_ended(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<Over>, DbError> {
    let select = format!(
        "SELECT id, cancelled_at FROM meetups WHERE end_told_at IS NULL AND ends_at <= ? ORDER BY ends_at, id LIMIT ?{}",
        tx.dialect().for_update()
    );
    let over: Vec<Over> = sql(select).bind(now).bind(limit).all(&mut *tx).await?;
    if !over.is_empty() {
        sql("UPDATE meetups SET end_told_at = ? WHERE id IN ")
            .bind(now)
            .push_list(over.iter().map(|meetup| meetup.id))
            .run(&mut *tx)
            .await?;
    }
    Ok(over)
}

/// Rooms of meetups that were over at `until`, after `after`, whose last entries have reached them; at most `limit`.
///
/// # Errors
/// See [`DbError`].
pub async fn retirable(db: &Db, until: Timestamp, after: Uuid, limit: u32) -> Result<Vec<Uuid>, DbError> {
    let find = "SELECT id FROM meetups WHERE room_retired_at IS NULL AND id > ? AND (ends_at <= ? OR cancelled_at <= ?) \
                AND NOT EXISTS (SELECT 1 FROM room_outbox WHERE room_id = meetups.id) ORDER BY id LIMIT ?";
    let rooms: Vec<(Uuid,)> = sql(find).bind(after).bind(until).bind(until).bind(limit).all(db).await?;
    Ok(rooms.into_iter().map(|(id,)| id).collect())
}

/// Notes that a room is closed for good.
///
/// # Errors
/// See [`DbError`].
pub async fn set_retired(db: &Db, room: Uuid, now: Timestamp) -> Result<(), DbError> {
    sql("UPDATE meetups SET room_retired_at = ? WHERE id = ?").bind(now).bind(room).run(db).await?;
    Ok(())
}
