//! The room log in SQL tables, with the in-process bus: for one process, on SQLite or MySQL/MariaDB.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::{
    Appended, Draft, MAX_PAGE, NONCE_WINDOW, Page, Range, RawEntry, RoomError, RoomStore, SYSTEM, Signal, Subscription,
    bus::Bus, encode_tail, notice_of,
};
use crate::{
    db::{Db, DbError, Tx, sql},
    ids::IdSource,
    time::Timestamp,
    transaction,
    wire::{Notice, Position},
};

/// See the module.
pub struct SqlRooms(Arc<Inner>);

struct Inner {
    db: Db,
    ids: Arc<dyn IdSource>,
    bus: Arc<Bus>,
    /// Entries must be signalled in the order of their numbers, which the database gives: one append of a room at a time.
    order: [tokio::sync::Mutex<()>; 64],
}

#[derive(sqlx::FromRow)]
struct RoomRow {
    epoch: Uuid,
    head: i64,
}

impl From<RoomRow> for Position {
    fn from(row: RoomRow) -> Self {
        Self { epoch: row.epoch, seq: row.head.unsigned_abs() }
    }
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    seq: i64,
    json: String,
}

impl From<EntryRow> for RawEntry {
    fn from(row: EntryRow) -> Self {
        Self { seq: row.seq.unsigned_abs(), json: row.json.into() }
    }
}

impl SqlRooms {
    /// The room log of `db`, which no other process may append to.
    pub fn new(db: Db, ids: Arc<dyn IdSource>) -> Self {
        let order = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self(Arc::new(Inner { db, ids, bus: Bus::new(), order }))
    }
}

impl Inner {
    async fn append(&self, room: Uuid, draft: Draft) -> Result<Appended, RoomError> {
        let tail = encode_tail(room, &draft)?;
        let _turn = self.order_of(room).lock().await;
        let (appended, json) = transaction!(self.db, |tx| self.append_in(tx, room, &draft, &tail))?;
        if !appended.duplicate {
            let entry = RawEntry { seq: appended.position.seq, json };
            self.bus.signal(room, Signal::Entry { epoch: appended.position.epoch, entry });
        }
        Ok(appended)
    }

    async fn head(&self, room: Uuid) -> Result<Position, RoomError> {
        let find = sql("SELECT epoch, head FROM rooms WHERE id = ?").bind(room);
        if let Some(row) = find.optional::<RoomRow>(&self.db).await? {
            return Ok(row.into());
        }
        Ok(transaction!(self.db, |tx| self.lock(tx, room))?)
    }

    fn order_of(&self, room: Uuid) -> &tokio::sync::Mutex<()> {
        &self.order[usize::from(room.as_bytes()[15]) % self.order.len()]
    }

    /// Takes the row lock of the room, making its log if there is none, and returns its head.
    async fn lock(&self, tx: &mut Tx, room: Uuid) -> Result<Position, DbError> {
        loop {
            let select = format!("SELECT epoch, head FROM rooms WHERE id = ?{}", tx.dialect().for_update());
            if let Some(row) = sql(select).bind(room).optional::<RoomRow>(&mut *tx).await? {
                return Ok(row.into());
            }
            let insert = format!("{} INTO rooms (id, epoch, head) VALUES (?, ?, 0)", tx.dialect().insert_ignore());
            sql(insert).bind(room).bind(self.ids.next_id()).run(&mut *tx).await?;
        }
    }

    async fn append_in(
        &self,
        tx: &mut Tx,
        room: Uuid,
        draft: &Draft,
        tail: &str,
    ) -> Result<(Appended, Arc<str>), DbError> {
        let head = self.lock(tx, room).await?;
        if let Some(nonce) = &draft.nonce
            && let Some((seq, at)) = find_nonce(tx, room, head.epoch, draft, nonce).await?
        {
            let position = Position { seq: seq.unsigned_abs(), ..head };
            return Ok((Appended { position, at, duplicate: true }, "".into()));
        }
        let position = Position { seq: head.seq + 1, ..head };
        let json = format!(r#"{{"seq":{},{tail}"#, position.seq);
        sql("INSERT INTO room_entries (room_id, epoch, seq, author_id, nonce, at, json) VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(room)
            .bind(position.epoch)
            .bind(position.seq)
            .bind(draft.author)
            .bind(draft.nonce.as_deref())
            .bind(draft.at)
            .bind(json.as_str())
            .run(&mut *tx)
            .await?;
        sql("UPDATE rooms SET head = ? WHERE id = ?").bind(position.seq).bind(room).run(&mut *tx).await?;
        if let Some(notice) = notice_of(draft) {
            let notice = notice.and_then(|notice| serde_json::to_string(&notice).ok());
            sql("UPDATE rooms SET notice = ? WHERE id = ?").bind(notice).bind(room).run(&mut *tx).await?;
        }
        Ok((Appended { position, at: draft.at, duplicate: false }, json.into()))
    }
}

async fn find_nonce(
    tx: &mut Tx,
    room: Uuid,
    epoch: Uuid,
    draft: &Draft,
    nonce: &str,
) -> Result<Option<(i64, Timestamp)>, DbError> {
    // What the outbox relays is remembered for good: its rows may wait for longer than any client would.
    let oldest = if draft.author == SYSTEM { Timestamp(i64::MIN) } else { draft.at - NONCE_WINDOW };
    sql("SELECT seq, at FROM room_entries WHERE room_id = ? AND author_id = ? AND nonce = ? AND epoch = ? AND at >= ? \
         ORDER BY seq DESC LIMIT 1")
    .bind(room)
    .bind(draft.author)
    .bind(nonce)
    .bind(epoch)
    .bind(oldest)
    .optional(tx)
    .await
}

#[async_trait]
impl RoomStore for SqlRooms {
    async fn append(&self, room: Uuid, draft: Draft) -> Result<Appended, RoomError> {
        // A task of its own: if the caller goes away between the commit and the signal, subscribers still hear of it.
        let inner = Arc::clone(&self.0);
        match tokio::spawn(async move { inner.append(room, draft).await }).await {
            Ok(outcome) => outcome,
            Err(stopped) => Err(RoomError::Unavailable(stopped.to_string())),
        }
    }

    async fn read(&self, room: Uuid, range: Range, limit: usize) -> Result<Page, RoomError> {
        let head = self.0.head(room).await?;
        let (condition, bound, order) = match range {
            Range::Latest => ("seq <= ?", head.seq, "DESC"),
            Range::Before(seq) => ("seq < ?", seq, "DESC"),
            Range::After(seq) => ("seq > ?", seq, "ASC"),
        };
        let mut rows: Vec<EntryRow> = sql(format!(
            "SELECT seq, json FROM room_entries WHERE room_id = ? AND epoch = ? AND {condition} ORDER BY seq {order} LIMIT ?"
        ))
        .bind(room)
        .bind(head.epoch)
        .bind(bound)
        .bind(limit.min(MAX_PAGE))
        .all(&self.0.db)
        .await?;
        rows.sort_by_key(|row| row.seq);
        let entries: Vec<RawEntry> = rows.into_iter().map(RawEntry::from).collect();
        // An entry may have been appended since the head was read.
        let seq = entries.last().map_or(head.seq, |last| head.seq.max(last.seq));
        Ok(Page { head: Position { seq, ..head }, entries })
    }

    async fn head(&self, room: Uuid) -> Result<Position, RoomError> {
        self.0.head(room).await
    }

    async fn notice(&self, room: Uuid) -> Result<Option<Notice>, RoomError> {
        let text: Option<Option<String>> =
            sql("SELECT notice FROM rooms WHERE id = ?").bind(room).scalar(&self.0.db).await?;
        text.flatten()
            .map(|json| serde_json::from_str(&json).map_err(|error| RoomError::Corrupt(error.to_string())))
            .transpose()
    }

    async fn subscribe(&self, room: Uuid) -> Result<Subscription, RoomError> {
        let bus = Arc::clone(&self.0.bus);
        Ok(self.0.bus.subscribe(room).on_drop(move || {
            bus.forget_deaf(room);
        }))
    }

    async fn health(&self) -> Result<(), RoomError> {
        Ok(self.0.db.ping().await?)
    }

    async fn close(&self) {
        self.0.bus.close();
    }
}
