//! Cancellation of meetups in SQL, under the locks of their rows.

use common::{
    db::{DbError, Tx, sql},
    outbox::Outbox,
};
use uuid::Uuid;
use wire::{Body, CloseReason};

/// Meetups cancelled by one statement, at most.
const BATCH: u32 = 200;

/// Cancels every meetup of a host that has not begun, and queues the `closed` entries of their rooms.
///
/// # Errors
/// See [`DbError`].
pub async fn cancel_upcoming_of(tx: &mut Tx, outbox: &Outbox<'_>, host: Uuid) -> Result<(), DbError> {
    let now = outbox.env.clock.now();
    loop {
        let select = format!(
            "SELECT id FROM meetups WHERE host_id = ? AND cancelled_at IS NULL AND starts_at > ? ORDER BY id LIMIT ?{}",
            tx.dialect().for_update()
        );
        let upcoming: Vec<(Uuid,)> = sql(select).bind(host).bind(now).bind(BATCH).all(&mut *tx).await?;
        if upcoming.is_empty() {
            return Ok(());
        }
        cancel_locked(tx, outbox, upcoming.into_iter().map(|(id,)| id).collect()).await?;
    }
}

/// Cancels meetups whose rows the transaction has locked, and queues the `closed` entries of their rooms.
///
/// # Errors
/// See [`DbError`].
pub async fn cancel_locked(tx: &mut Tx, outbox: &Outbox<'_>, meetups: Vec<Uuid>) -> Result<(), DbError> {
    let now = outbox.env.clock.now();
    sql("UPDATE meetups SET cancelled_at = ?, updated_at = ? WHERE id IN ")
        .bind(now)
        .bind(now)
        .push_list(meetups.iter().copied())
        .run(&mut *tx)
        .await?;
    let closed = Body::Closed { reason: CloseReason::Cancelled };
    outbox.put_all(tx, meetups.into_iter().map(|meetup| (meetup, &closed))).await
}
