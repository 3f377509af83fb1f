//! End of rooms: a closing entry when the meetup ends, and retirement 30 days after it ended or was cancelled.
//!
//! A room is read-only by the clock from the end of its meetup on, before the entry is there: see
//! [`common::membership::Membership`].

use std::time::Duration;

use common::{
    db::{DbError, Tx},
    outbox::Outbox,
    outbox_transaction,
};
use uuid::Uuid;
use wire::{Body, CloseReason};

use super::store;
use crate::context::Context;

/// How long the log of a room stays in the hot store after its meetup ended or was cancelled.
pub const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Meetups of one batch.
const BATCH: u32 = 100;

/// Error of retiring rooms.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Rooms that could not be retired; the next run tries again.
    #[error("{0} rooms could not be closed for good")]
    Rooms(u64),
}

/// Queues the closing entry for the rooms of meetups that have ended since the last run. Returns the number of rooms.
///
/// # Errors
/// See [`DbError`]; those told before stay told.
pub async fn queue_closing_entries(cx: &Context) -> Result<u64, DbError> {
    let mut queued = 0;
    loop {
        let (handled, now_queued) = outbox_transaction!(cx, |tx, outbox| queue_batch(tx, outbox))?;
        queued += now_queued;
        if handled == 0 {
            return Ok(queued);
        }
    }
}

/// Returns the number of meetups handled and of entries queued; cancelled meetups already have theirs.
async fn queue_batch(tx: &mut Tx, outbox: &Outbox<'_>) -> Result<(u64, u64), DbError> {
    let over = store::take_ended(tx, outbox.env.clock.now(), BATCH).await?;
    let ended = Body::Closed { reason: CloseReason::Ended };
    let rooms: Vec<Uuid> = over.iter().filter(|meetup| meetup.cancelled_at.is_none()).map(|meetup| meetup.id).collect();
    outbox.put_all(tx, rooms.iter().map(|room| (*room, &ended))).await?;
    Ok((over.len() as u64, rooms.len() as u64))
}

/// Retires the rooms whose retention has passed. Returns the number of rooms.
///
/// # Errors
/// When the database or the room log of some would not; the others are closed all the same.
pub async fn retire(cx: &Context) -> Result<u64, EndError> {
    let (mut after, mut retired, mut failed) = (Uuid::nil(), 0, 0);
    loop {
        let rooms = store::retirable(&cx.db, cx.env.clock.now() - KEPT, after, BATCH).await?;
        let Some(last) = rooms.last() else { break };
        after = *last;
        for room in rooms {
            match retire_one(cx, room).await {
                Ok(()) => retired += 1,
                Err(error) => {
                    tracing::warn!(%error, %room, "retiring a room failed");
                    failed += 1;
                }
            }
        }
    }
    if failed == 0 { Ok(retired) } else { Err(EndError::Rooms(failed)) }
}

async fn retire_one(cx: &Context, room: Uuid) -> Result<(), common::rooms::RoomError> {
    let now = cx.env.clock.now();
    cx.rooms.retire(room, now).await?;
    Ok(store::set_retired(&cx.db, room, now).await?)
}
