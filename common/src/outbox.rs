//! How what SQL commits about a room reaches its log.
//!
//! The transaction that changes a meetup writes a row with [`put`]; a [`Relay`] appends it to the log with the row's id
//! as nonce, then deletes it. A crash in between repeats the append, which the nonce makes harmless.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    db::{Db, DbError, Tx, insert_rows, sql},
    ids::Surroundings,
    rooms::{Draft, RoomError, RoomStore, SYSTEM},
    time::Timestamp,
    wire::{Body, Role},
};

/// Rows relayed between two deletions, at most: fewer than the nonces that a log remembers (256), so that a crash
/// before the deletion cannot repeat an entry.
const BATCH: u32 = 64;
/// How often the relay looks for rows that a crashed process left behind.
const SWEEP: Duration = Duration::from_secs(1);

/// Queues entries for the log of `room`, in the transaction that makes them true.
///
/// Rows of one room must be put while the transaction holds the lock of its meetup's row: their order is the log's.
///
/// # Errors
/// See [`DbError`].
pub async fn put(tx: &mut Tx, around: &Surroundings, room: Uuid, bodies: &[Body]) -> Result<(), DbError> {
    put_all(tx, around, bodies.iter().map(|body| (room, body))).await
}

/// Queues entries for the logs of several rooms, each as [`put`] does.
///
/// # Errors
/// See [`DbError`].
pub async fn put_all<'a>(
    tx: &mut Tx,
    around: &Surroundings,
    entries: impl Iterator<Item = (Uuid, &'a Body)> + Send,
) -> Result<(), DbError> {
    let row = |(room, body): (Uuid, &Body)| {
        let json = serde_json::to_string(body).map_err(|error| DbError::Other(sqlx::Error::Encode(error.into())))?;
        Ok(vec![around.ids.next_id().into(), room.into(), json.into(), around.clock.now().into()])
    };
    let rows = entries.map(row).collect::<Result<_, DbError>>()?;
    insert_rows(tx, "room_outbox", &["id", "room_id", "body", "created_at"], rows).await
}

#[derive(sqlx::FromRow)]
struct Row {
    position: i64,
    id: Uuid,
    room_id: Uuid,
    body: String,
    created_at: Timestamp,
}

/// Why a relay could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The room log.
    #[error(transparent)]
    Rooms(#[from] RoomError),
}

/// Appends what the outbox holds to the room logs, in order. Any number of processes may run one.
#[derive(Clone)]
pub struct Relay {
    db: Db,
    rooms: Arc<dyn RoomStore>,
    wake: Arc<Notify>,
}

impl Relay {
    /// A relay from `db` to `rooms`.
    pub fn new(db: Db, rooms: Arc<dyn RoomStore>) -> Self {
        Self { db, rooms, wake: Arc::default() }
    }

    /// Says that a transaction with [`put`] has committed, so that its entries appear now rather than at the next sweep.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Relays until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.drain().await {
                tracing::warn!(%error, "the outbox could not be relayed; trying again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(SWEEP) => {}
            }
        }
    }

    /// Relays everything that is there now.
    ///
    /// # Errors
    /// The first append or statement that failed; what was relayed before it stays.
    pub async fn drain(&self) -> Result<(), RelayError> {
        loop {
            let rows: Vec<Row> =
                sql("SELECT position, id, room_id, body, created_at FROM room_outbox ORDER BY position LIMIT ?")
                    .bind(BATCH)
                    .all(&self.db)
                    .await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let body = serde_json::from_str(&row.body).map_err(|error| RoomError::Corrupt(error.to_string()))?;
                let draft = Draft {
                    author: SYSTEM,
                    role: Role::Host,
                    nonce: Some(row.id.to_string()),
                    at: row.created_at,
                    body,
                };
                self.rooms.append(row.room_id, draft).await?;
            }
            sql("DELETE FROM room_outbox WHERE position IN ")
                .push_list(rows.iter().map(|row| row.position))
                .run(&self.db)
                .await?;
        }
    }
}
