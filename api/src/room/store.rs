//! Rooms to close and to retire, in SQL.

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

/// Takes at most `limit` meetups that have ended by `now` and whose closing entry is not queued, and marks it as
/// queued.
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

/// At most `limit` rooms after the id `after` of meetups that were over at `until` and have no entries in the outbox.
///
/// # Errors
/// See [`DbError`].
pub async fn retirable(db: &Db, until: Timestamp, after: Uuid, limit: u32) -> Result<Vec<Uuid>, DbError> {
    let find = "SELECT id FROM meetups WHERE room_retired_at IS NULL AND id > ? AND (ends_at <= ? OR cancelled_at <= ?) \
                AND NOT EXISTS (SELECT 1 FROM room_outbox WHERE room_id = meetups.id) ORDER BY id LIMIT ?";
    let rooms: Vec<(Uuid,)> = sql(find).bind(after).bind(until).bind(until).bind(limit).all(db).await?;
    Ok(rooms.into_iter().map(|(id,)| id).collect())
}

/// Marks a room as retired.
///
/// # Errors
/// See [`DbError`].
pub async fn set_retired(db: &Db, room: Uuid, now: Timestamp) -> Result<(), DbError> {
    sql("UPDATE meetups SET room_retired_at = ? WHERE id = ?").bind(now).bind(room).run(db).await?;
    Ok(())
}
