//! Transactional outbox: rows written with a membership change are appended to the room's log by a relay, at least once,
//! deduplicated by the row's id.
//!
//! A transaction of [`outbox_transaction!`](crate::outbox_transaction) writes rows through its [`Outbox`] and wakes the
//! [`Relay`] when it has ended; the relay appends each row to the log with the row's id as nonce, then deletes it. A crash in
//! between repeats the append, which the nonce makes harmless.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{Body, Role};

use crate::{
    db::{Db, DbError, Tx, insert_rows, sql},
    ids::Env,
    rooms::{Draft, RoomError, RoomStore, SYSTEM},
    time::Timestamp,
};

/// Rows relayed between two deletions, at most: fewer than the nonces that a log remembers (256), so that a crash
/// before the deletion cannot repeat an entry.
const BATCH: u32 = 64;
/// How long rows that were read may be relayed. A process that was stopped for longer reads them again: another one may
/// have relayed them, and so many after them that the log does not remember these.
const FRESH: Duration = Duration::from_secs(5);
/// Rooms that may fail before the relay pauses: by then it is the room log that fails, and not some of its rooms.
const STUCK: usize = 16;
/// How often the relay looks for rows that a crashed process left behind.
const SWEEP: Duration = Duration::from_secs(1);

/// Write side of the outbox for one transaction, and the clock and ids that it works with.
///
/// Dropped after the transaction, whether that was committed, failed or was abandoned, it wakes the relay if rows were
/// written: when the commit's outcome is unknown, looking once in vain is cheaper than waiting for the next sweep.
pub struct Outbox<'a> {
    /// Clock and ids.
    pub env: &'a Env,
    relay: &'a Relay,
    written: AtomicBool,
}

impl<'a> Outbox<'a> {
    /// For one transaction. Use [`outbox_transaction!`](crate::outbox_transaction), which drops it in time.
    pub fn new(env: &'a Env, relay: &'a Relay) -> Self {
        Self { env, relay, written: AtomicBool::new(false) }
    }

    /// Queues entries for the log of `room`, in the transaction that makes them true.
    ///
    /// Rows of one room must be put while the transaction holds the lock of its meetup's row: their order is the log's.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn put(&self, tx: &mut Tx, room: Uuid, bodies: &[Body]) -> Result<(), DbError> {
        self.put_all(tx, bodies.iter().map(|body| (room, body))).await
    }

    /// Queues entries for the logs of several rooms, each as [`Self::put`] does.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn put_all<'b>(
        &self,
        tx: &mut Tx,
        entries: impl Iterator<Item = (Uuid, &'b Body)> + Send,
    ) -> Result<(), DbError> {
        let row = |(room, body): (Uuid, &Body)| {
            let json =
                serde_json::to_string(body).map_err(|error| DbError::Other(sqlx::Error::Encode(error.into())))?;
            Ok(vec![self.env.ids.next_id().into(), room.into(), json.into(), self.env.clock.now().into()])
        };
        let rows = entries.map(row).collect::<Result<Vec<_>, DbError>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        self.written.store(true, Ordering::Relaxed);
        insert_rows(tx, "room_outbox", &["id", "room_id", "body", "created_at"], rows).await
    }
}

impl Drop for Outbox<'_> {
    fn drop(&mut self) {
        if self.written.load(Ordering::Relaxed) {
            self.relay.wake.notify_one();
        }
    }
}

/// As [`transaction!`](crate::transaction), for a transaction that may write outbox rows: wakes the relay after it if there
/// are any. The first argument has the fields `db`, `env` and `relay`, as [`Backends`](crate::bootstrap::Backends) has.
///
/// ```ignore
/// outbox_transaction!(backends, |tx, outbox| async {
///     sql("UPDATE …").run(&mut *tx).await?;
///     outbox.put(tx, room, &[body]).await
/// })?;
/// ```
#[macro_export]
macro_rules! outbox_transaction {
    ($backends:expr, |$tx:ident, $outbox:ident| $body:expr) => {{
        let backends = &$backends;
        let $outbox = &$crate::outbox::Outbox::new(&backends.env, &backends.relay);
        $crate::transaction!(backends.db, |$tx| $body)
    }};
}

#[derive(sqlx::FromRow)]
struct Row {
    position: i64,
    id: Uuid,
    room_id: Uuid,
    body: String,
    created_at: Timestamp,
}

/// Failure of a relay.
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
    /// A row that can never be relayed, because its room is closed for good or it is damaged, is given up and logged. A
    /// row that cannot be relayed now holds up the later ones of its room, whose order is the log's, and no other room.
    ///
    /// # Errors
    /// A statement that failed, or the first append that did; what was relayed stays relayed.
    pub async fn drain(&self) -> Result<(), RelayError> {
        let (mut after, mut stuck, mut failure) = (0, HashSet::new(), None);
        while stuck.len() < STUCK {
            let rows = self.rows_after(after).await?;
            if rows.is_empty() {
                break;
            }
            let (read_at, mut done) = (Instant::now(), Vec::new());
            for row in rows {
                if read_at.elapsed() > FRESH {
                    break;
                }
                after = row.position;
                if stuck.contains(&row.room_id) {
                    continue;
                }
                match self.relay(&row).await {
                    Ok(()) => done.push(row.position),
                    Err(error) => {
                        stuck.insert(row.room_id);
                        failure.get_or_insert(error);
                    }
                }
            }
            self.delete(done).await?;
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn rows_after(&self, position: i64) -> Result<Vec<Row>, DbError> {
        sql("SELECT position, id, room_id, body, created_at FROM room_outbox WHERE position > ? ORDER BY position LIMIT ?")
            .bind(position)
            .bind(BATCH)
            .all(&self.db)
            .await
    }

    async fn relay(&self, row: &Row) -> Result<(), RoomError> {
        let body = match serde_json::from_str(&row.body) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, room = %row.room_id, id = %row.id, "gave up a damaged row of the outbox");
                return Ok(());
            }
        };
        let nonce = Some(row.id.to_string());
        let draft = Draft { author: SYSTEM, role: Role::Host, nonce, at: row.created_at, body };
        match self.rooms.append(row.room_id, draft).await {
            Ok(_) => Ok(()),
            Err(RoomError::Refused(refusal)) => {
                tracing::warn!(%refusal, room = %row.room_id, id = %row.id, "gave up a row of the outbox");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, positions: Vec<i64>) -> Result<(), DbError> {
        if !positions.is_empty() {
            sql("DELETE FROM room_outbox WHERE position IN ").push_list(positions).run(&self.db).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{config::SecretUrl, rooms::sql::SqlRooms};

    /// What [`outbox_transaction!`] needs of the backends.
    struct Parts {
        db: Db,
        env: Env,
        relay: Relay,
    }

    impl Parts {
        fn relay_is_woken(&self) -> bool {
            self.relay.wake.notified().now_or_never().is_some()
        }
    }

    #[tokio::test]
    async fn relay_is_woken_after_transactions_with_rows_only() {
        let folder = std::env::temp_dir().join(Uuid::now_v7().to_string());
        let url = SecretUrl::new(format!("sqlite://{}/outbox.db", folder.display()));
        let db = Db::connect(&url, 1).await.expect("a database");
        db.migrate().await.expect("a schema");
        let env = Env::default();
        let relay = Relay::new(db.clone(), Arc::new(SqlRooms::new(db.clone(), Arc::clone(&env.ids))));
        let parts = Parts { db, env, relay };
        let bodies = [Body::Closed { reason: wire::CloseReason::Ended }];
        for (bodies, woken) in [(&bodies[..0], false), (&bodies[..], true)] {
            outbox_transaction!(parts, |tx, outbox| async {
                outbox.put(tx, Uuid::now_v7(), bodies).await?;
                assert!(!parts.relay_is_woken(), "before the commit");
                Ok::<_, DbError>(())
            })
            .expect("committed");
            assert_eq!(parts.relay_is_woken(), woken);
        }
        parts.db.close().await;
        drop(std::fs::remove_dir_all(folder));
    }
}
