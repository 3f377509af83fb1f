//! The room log in SQL tables, with the in-process bus: for one process, on SQLite or MySQL/MariaDB.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use dashmap::DashMap;
use uuid::Uuid;
use wire::{Ephemeral, Notice, Person, Position};

use super::{
    AppendError, Appended, Draft, Entered, Health, MAX_PAGE, NONCE_WINDOW, Page, Presence, Range, RawEntry, RoomError,
    RoomStore, SYSTEM, SessionChange, SessionChanges, Signal, Subscription,
    archive::{self, RoomRow, TxError},
    bus::Bus,
    decode, encode, encode_tail, notice_of,
    seats::Seats,
};
use crate::{
    db::{Db, DbError, Tx, sql},
    ids::IdSource,
    time::Timestamp,
    transaction,
};

/// See the module.
pub struct SqlRooms(Arc<Inner>);

struct Inner {
    db: Db,
    ids: Arc<dyn IdSource>,
    bus: Arc<Bus>,
    seats: Seats,
    connections: DashMap<Uuid, HashSet<Uuid>>,
    /// Entries must be signalled in the order of their numbers, which the database gives: one append of a room at a time.
    order: [tokio::sync::Mutex<()>; 64],
    /// Who came and went must be signalled in the order in which they were counted.
    crossing: Mutex<()>,
}

/// The outcome of an append, and the entry that is to be signalled unless it was a duplicate.
type Stored = (Appended, Option<RawEntry>);
type Outcome = Result<Appended, AppendError>;

impl SqlRooms {
    /// The room log of `db`, which no other process may append to.
    pub fn new(db: Db, ids: Arc<dyn IdSource>) -> Self {
        let order = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self(Arc::new(Inner {
            db,
            ids,
            bus: Bus::new(),
            seats: Seats::default(),
            connections: DashMap::new(),
            order,
            crossing: Mutex::default(),
        }))
    }
}

impl Inner {
    async fn append_all(&self, room: Uuid, drafts: Vec<Draft>) -> Result<Vec<Outcome>, RoomError> {
        let _turn = self.order_of(room).lock().await;
        let outcomes = transaction!(self.db, |tx| self.append_in(tx, room, &drafts)).map_err(RoomError::from)?;
        let signal = |(appended, entry): Stored| {
            if let Some(entry) = entry {
                self.bus.signal(room, Signal::Entry { epoch: appended.position.epoch, entry });
            }
            appended
        };
        Ok(outcomes.into_iter().map(|outcome| outcome.map(signal)).collect())
    }

    async fn append_in(
        &self,
        tx: &mut Tx,
        room: Uuid,
        drafts: &[Draft],
    ) -> Result<Vec<Result<Stored, AppendError>>, TxError> {
        let row = archive::lock_room(tx, room, self.ids.next_id()).await?;
        let mut head = row.position();
        let mut outcomes = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let outcome = match self.append_one(tx, room, head, row.is_closed(), draft).await {
                // Nothing was written for it.
                Err(TxError::Room(RoomError::Refused(refusal))) => Err(refusal),
                outcome => Ok(outcome?),
            };
            if let Ok((Appended { position, duplicate: false, .. }, _)) = outcome {
                head = position;
            }
            outcomes.push(outcome);
        }
        if head != row.position() {
            archive::set_head(tx, room, head).await?;
        }
        Ok(outcomes)
    }

    async fn append_one(
        &self,
        tx: &mut Tx,
        room: Uuid,
        head: Position,
        closed: bool,
        draft: &Draft,
    ) -> Result<Stored, TxError> {
        if let Some(nonce) = &draft.nonce
            && let Some((seq, at)) = find_nonce(tx, room, head.epoch, draft, nonce).await?
        {
            let position = Position { seq: seq.unsigned_abs(), ..head };
            return Ok((Appended { position, at, duplicate: true }, None));
        }
        if closed {
            return Err(AppendError::RoomClosed.into());
        }
        if let Some(target) = draft.body.target() {
            archive::amend(tx, room, head.epoch, target, draft).await?;
        }
        let position = Position { seq: head.seq + 1, ..head };
        let json = format!(r#"{{"seq":{},{}"#, position.seq, encode_tail(room, draft)?);
        archive::insert(tx, room, position, draft, &json).await?;
        if let Some(notice) = notice_of(draft) {
            archive::set_notice(tx, room, notice.as_ref().map(encode).transpose()?.as_deref()).await?;
        }
        let entry = RawEntry::appended(position.seq, json, (&draft.body).into());
        Ok((Appended { position, at: draft.at, duplicate: false }, Some(entry)))
    }

    async fn row(&self, room: Uuid) -> Result<RoomRow, RoomError> {
        if let Some(row) = archive::room(&self.db, room).await? {
            return Ok(row);
        }
        Ok(transaction!(self.db, |tx| archive::lock_room(tx, room, self.ids.next_id()))?)
    }

    async fn mark_in(&self, tx: &mut Tx, room: Uuid, user: Uuid, seq: u64) -> Result<(u64, bool), DbError> {
        let head = archive::lock_room(tx, room, self.ids.next_id()).await?.position();
        let before = read_mark(&mut *tx, room, head.epoch, user).await?;
        let mark = before.max(seq.min(head.seq));
        if mark > before {
            let upsert = tx.dialect().upsert("room_id, user_id", &["epoch", "seq"]);
            sql("INSERT INTO room_reads (room_id, user_id, epoch, seq) VALUES (?, ?, ?, ?)")
                .push(&upsert)
                .bind(room)
                .bind(user)
                .bind(head.epoch)
                .bind(mark)
                .run(tx)
                .await?;
        }
        Ok((mark, mark > before))
    }

    fn signal(&self, event: Ephemeral) -> Result<(), RoomError> {
        let json = encode(&event)?.into();
        self.bus.signal(event.room(), Signal::Ephemeral { event, json });
        Ok(())
    }

    fn order_of(&self, room: Uuid) -> &tokio::sync::Mutex<()> {
        &self.order[usize::from(room.as_bytes()[15]) % self.order.len()]
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

async fn read_mark(executor: impl crate::db::Executor, room: Uuid, epoch: Uuid, user: Uuid) -> Result<u64, DbError> {
    let find = sql("SELECT seq FROM room_reads WHERE room_id = ? AND user_id = ? AND epoch = ?");
    let seq: Option<i64> = find.bind(room).bind(user).bind(epoch).scalar(executor).await?;
    Ok(seq.unwrap_or(0).unsigned_abs())
}

#[async_trait]
impl RoomStore for SqlRooms {
    async fn append_all(&self, room: Uuid, drafts: Vec<Draft>) -> Result<Vec<Outcome>, RoomError> {
        // A task of its own: if the caller goes away between the commit and the signal, subscribers still hear of it.
        let inner = Arc::clone(&self.0);
        match tokio::spawn(async move { inner.append_all(room, drafts).await }).await {
            Ok(outcome) => outcome,
            Err(stopped) => Err(RoomError::Unavailable(stopped.to_string())),
        }
    }

    async fn read(&self, room: Uuid, range: Range, limit: usize) -> Result<Page, RoomError> {
        let row = self.0.row(room).await?;
        archive::whole_page(&self.0.db, room, &row, range, limit.min(MAX_PAGE)).await
    }

    async fn head(&self, room: Uuid) -> Result<Position, RoomError> {
        Ok(self.0.row(room).await?.position())
    }

    async fn notice(&self, room: Uuid) -> Result<Option<Notice>, RoomError> {
        let row = archive::room(&self.0.db, room).await?;
        row.and_then(|row| row.notice).map(|json| decode(&json)).transpose()
    }

    async fn subscribe(&self, room: Uuid) -> Result<Subscription, RoomError> {
        let bus = Arc::clone(&self.0.bus);
        Ok(self.0.bus.subscribe(room).on_drop(move || {
            bus.forget_deaf(room);
        }))
    }

    async fn enter(&self, room: Uuid, person: &Person, connection: Uuid) -> Result<Entered, RoomError> {
        let head = self.0.row(room).await?.position();
        let read_seq = read_mark(&self.0.db, room, head.epoch, person.id).await?;
        let _turn = self.0.crossing.lock().unwrap_or_else(PoisonError::into_inner);
        let (online, new) = self.0.seats.enter(room, person, connection);
        if new {
            self.0.signal(Ephemeral::Presence { room, online, joined: Some(person.clone()), left: None })?;
        }
        Ok(Entered { online, read_seq })
    }

    async fn exit(&self, room: Uuid, user: Uuid, connection: Uuid) -> Result<(), RoomError> {
        let _turn = self.0.crossing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.seats.exit(room, user, connection) {
            Some((online, person)) => {
                self.0.signal(Ephemeral::Presence { room, online, joined: None, left: Some(person) })
            }
            None => Ok(()),
        }
    }

    async fn presence(&self, room: Uuid, limit: usize) -> Result<Presence, RoomError> {
        Ok(self.0.seats.presence(room, limit.min(MAX_PAGE)))
    }

    async fn mark_read(&self, room: Uuid, person: &Person, seq: u64) -> Result<u64, RoomError> {
        let (mark, moved) = transaction!(self.0.db, |tx| self.0.mark_in(tx, room, person.id, seq))?;
        if moved {
            self.0.signal(Ephemeral::Read { room, user: person.clone(), seq: mark })?;
        }
        Ok(mark)
    }

    async fn read_mark(&self, room: Uuid, user: Uuid) -> Result<u64, RoomError> {
        match archive::room(&self.0.db, room).await? {
            Some(row) => Ok(read_mark(&self.0.db, room, row.epoch, user).await?),
            None => Ok(0),
        }
    }

    async fn publish(&self, event: &Ephemeral) -> Result<(), RoomError> {
        self.0.signal(event.clone())
    }

    async fn admit(&self, user: Uuid, connection: Uuid, limit: u32) -> Result<bool, RoomError> {
        let mut connections = self.0.connections.entry(user).or_default();
        if connections.len() >= limit as usize && !connections.contains(&connection) {
            return Ok(false);
        }
        connections.insert(connection);
        Ok(true)
    }

    async fn dismiss(&self, user: Uuid, connection: Uuid) -> Result<(), RoomError> {
        if let Some(mut connections) = self.0.connections.get_mut(&user) {
            connections.remove(&connection);
        }
        self.0.connections.remove_if(&user, |_, connections| connections.is_empty());
        Ok(())
    }

    async fn sessions_changed(&self, user: Uuid) -> Result<(), RoomError> {
        self.0.bus.sessions_changed(SessionChange::Of(user));
        Ok(())
    }

    fn session_changes(&self) -> SessionChanges {
        self.0.bus.session_changes()
    }

    async fn rooms_of(&self, user: Uuid, after: Uuid, limit: usize) -> Result<Vec<Uuid>, RoomError> {
        Ok(archive::rooms_of(&self.0.db, user, after, limit).await?)
    }

    async fn anonymise(&self, user: Uuid) -> Result<(), RoomError> {
        archive::anonymise(&self.0.db, user).await
    }

    async fn retire(&self, room: Uuid, now: Timestamp) -> Result<(), RoomError> {
        let retire = async |tx: &mut Tx| {
            archive::lock_room(tx, room, self.0.ids.next_id()).await?;
            archive::set_closed(tx, room, now, true).await
        };
        Ok(transaction!(self.0.db, |tx| retire(tx))?)
    }

    async fn health(&self) -> Health {
        self.0.db.ping().await.map_or_else(|error| Health::Down(error.to_string()), |()| Health::Ok)
    }

    async fn close(&self) {
        self.0.bus.close();
    }
}
