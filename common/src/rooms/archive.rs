//! Archive: entries in SQL. The whole log of the SQL backend, and the older part of the logs of the Redis backend.
//!
//! A row of `rooms` says how far SQL has a room's log, and its lock orders whoever changes the room's rows.

use uuid::Uuid;
use wire::{Body, Entry, Position};

use super::{
    AppendError, Draft, Page, Range, RawEntry, RoomError, SYSTEM,
    amend::{amend_raw, anonymise_notice, anonymise_raw},
    decode,
};
use crate::{
    db::{Db, DbError, Executor, MaybeContention, Tx, sql, upsert_rows},
    time::Timestamp,
};

/// Rows changed by one statement, at most.
pub(super) const CHUNK: usize = 200;
const COLUMNS: [&str; 8] = ["room_id", "epoch", "seq", "author_id", "person_id", "nonce", "at", "json"];

/// Failure inside a transaction; contention is told apart, so that the transaction is retried.
#[derive(Debug)]
pub(super) enum TxError {
    Db(DbError),
    Room(RoomError),
}

impl From<DbError> for TxError {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl From<RoomError> for TxError {
    fn from(error: RoomError) -> Self {
        Self::Room(error)
    }
}

impl From<AppendError> for TxError {
    fn from(refusal: AppendError) -> Self {
        Self::Room(refusal.into())
    }
}

impl From<TxError> for RoomError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Db(error) => error.into(),
            TxError::Room(error) => error,
        }
    }
}

impl MaybeContention for TxError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}

/// How far SQL has a room's log.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct RoomRow {
    pub(super) epoch: Uuid,
    pub(super) head: i64,
    pub(super) notice: Option<String>,
    pub(super) closing_at: Option<Timestamp>,
}

impl RoomRow {
    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.head.unsigned_abs() }
    }

    /// Whether the room takes no more entries.
    pub(super) const fn is_closed(&self) -> bool {
        self.closing_at.is_some()
    }
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    seq: i64,
    json: String,
}

impl From<EntryRow> for RawEntry {
    fn from(row: EntryRow) -> Self {
        Self::new(row.seq.unsigned_abs(), row.json)
    }
}

/// The row of a room, if it has one.
pub(super) async fn room(executor: impl Executor, room: Uuid) -> Result<Option<RoomRow>, DbError> {
    sql("SELECT epoch, head, notice, closing_at FROM rooms WHERE id = ?").bind(room).optional(executor).await
}

/// Takes the lock of a room's row until the transaction ends, making the row with `epoch` if there is none.
pub(super) async fn lock_room(tx: &mut Tx, room: Uuid, epoch: Uuid) -> Result<RoomRow, DbError> {
    loop {
        let select = sql("SELECT epoch, head, notice, closing_at FROM rooms WHERE id = ?");
        let select = select.push(tx.dialect().for_update()).bind(room);
        if let Some(row) = select.optional(&mut *tx).await? {
            return Ok(row);
        }
        let insert = format!("{} INTO rooms (id, epoch, head) VALUES (?, ?, 0)", tx.dialect().insert_ignore());
        sql(insert).bind(room).bind(epoch).run(&mut *tx).await?;
    }
}

/// At most `limit` entries of a log, ascending.
pub(super) async fn page(
    db: &Db,
    room: Uuid,
    epoch: Uuid,
    range: Range,
    limit: usize,
) -> Result<Vec<RawEntry>, DbError> {
    let (condition, bound, order) = match range {
        Range::Latest => ("seq <= ?", i64::MAX.unsigned_abs(), "DESC"),
        Range::Before(seq) => ("seq < ?", seq, "DESC"),
        Range::After(seq) => ("seq > ?", seq, "ASC"),
    };
    let mut rows: Vec<EntryRow> = sql(format!(
        "SELECT seq, json FROM room_entries WHERE room_id = ? AND epoch = ? AND {condition} ORDER BY seq {order} LIMIT ?"
    ))
    .bind(room)
    .bind(epoch)
    .bind(bound)
    .bind(limit)
    .all(db)
    .await?;
    rows.sort_by_key(|row| row.seq);
    Ok(rows.into_iter().map(RawEntry::from).collect())
}

/// A page of a log that is in SQL up to the head that its `row` says.
pub(super) async fn whole_page(
    db: &Db,
    room: Uuid,
    row: &RoomRow,
    range: Range,
    limit: usize,
) -> Result<Page, RoomError> {
    let head = row.position();
    let entries = page(db, room, head.epoch, range, limit).await?;
    // An entry may have been appended since the head was read.
    let seq = entries.last().map_or(head.seq, |last| head.seq.max(last.seq));
    let notice = row.notice.as_deref().map(decode).transpose()?;
    Ok(Page { head: Position { seq, ..head }, notice, entries })
}

/// Stores one new entry.
pub(super) async fn insert(tx: &mut Tx, room: Uuid, at: Position, draft: &Draft, json: &str) -> Result<(), DbError> {
    sql("INSERT INTO room_entries (room_id, epoch, seq, author_id, person_id, nonce, at, json) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(room)
    .bind(at.epoch)
    .bind(at.seq)
    .bind(draft.author)
    .bind(draft.body.person().map(|person| person.id))
    .bind(draft.nonce.as_deref())
    .bind(draft.at)
    .bind(json)
    .run(tx)
    .await?;
    Ok(())
}

/// Stores entries that may be there already, with their present state. At most [`CHUNK`].
pub(super) async fn put(tx: &mut Tx, room: Uuid, epoch: Uuid, entries: &[RawEntry]) -> Result<(), TxError> {
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let Entry { seq, at, body, .. } = entry.parse()?;
        let person = body.person().map(|person| person.id);
        let (author, nonce) = match &body {
            Body::Member { .. } | Body::Closed { .. } => (SYSTEM, None),
            Body::Message { nonce, .. } => (person.unwrap_or(SYSTEM), Some(nonce.as_str())),
            _ => (person.unwrap_or(SYSTEM), None),
        };
        rows.push(vec![
            room.into(),
            epoch.into(),
            seq.into(),
            author.into(),
            person.into(),
            nonce.into(),
            at.into(),
            (&*entry.json).into(),
        ]);
    }
    let update = ("room_id, epoch, seq", &["author_id", "person_id", "json"][..]);
    Ok(upsert_rows(tx, "room_entries", &COLUMNS, rows, update).await?)
}

/// Says how far SQL has a room's log.
pub(super) async fn set_head(tx: &mut Tx, room: Uuid, head: Position) -> Result<(), DbError> {
    let update = sql("UPDATE rooms SET epoch = ?, head = ? WHERE id = ?");
    update.bind(head.epoch).bind(head.seq).bind(room).run(tx).await?;
    Ok(())
}

/// Sets or clears the notice (its JSON).
pub(super) async fn set_notice(tx: &mut Tx, room: Uuid, notice: Option<&str>) -> Result<(), DbError> {
    sql("UPDATE rooms SET notice = ? WHERE id = ?").bind(notice).bind(room).run(tx).await?;
    Ok(())
}

/// Changes the message that `draft` edits or deletes. The caller holds the lock of the room's row.
pub(super) async fn amend(tx: &mut Tx, room: Uuid, epoch: Uuid, target: u64, draft: &Draft) -> Result<(), TxError> {
    let find = sql("SELECT seq, json FROM room_entries WHERE room_id = ? AND epoch = ? AND seq = ?");
    let row: Option<EntryRow> = find.bind(room).bind(epoch).bind(target).optional(&mut *tx).await?;
    let json = amend_raw(&row.ok_or(AppendError::NoSuchMessage)?.into(), draft)?;
    sql("UPDATE room_entries SET json = ? WHERE room_id = ? AND epoch = ? AND seq = ?")
        .bind(json)
        .bind(room)
        .bind(epoch)
        .bind(target)
        .run(tx)
        .await?;
    Ok(())
}

/// Marks a room as closed for good: `closing_at` refuses entries, `closed_at` says that nothing is left to be done.
pub(super) async fn set_closed(tx: &mut Tx, room: Uuid, now: Timestamp, done: bool) -> Result<(), DbError> {
    let update = sql("UPDATE rooms SET closing_at = COALESCE(closing_at, ?), closed_at = ? WHERE id = ?");
    update.bind(now).bind(done.then_some(now)).bind(room).run(tx).await?;
    Ok(())
}

/// Rooms of meetups after `after`, in order, that are not closed for good.
pub(super) async fn open_rooms(db: &Db, after: Uuid, limit: usize) -> Result<Vec<Uuid>, DbError> {
    let find = "SELECT m.id FROM meetups m LEFT JOIN rooms r ON r.id = m.id \
                WHERE m.id > ? AND r.closed_at IS NULL ORDER BY m.id LIMIT ?";
    let rooms: Vec<(Uuid,)> = sql(find).bind(after).bind(limit).all(db).await?;
    Ok(rooms.into_iter().map(|(id,)| id).collect())
}

/// Rooms after `after`, in order, with entries in SQL from or about `user`.
pub(super) async fn rooms_of(db: &Db, user: Uuid, after: Uuid, limit: usize) -> Result<Vec<Uuid>, DbError> {
    let find = "SELECT DISTINCT room_id FROM room_entries WHERE person_id = ? AND room_id > ? ORDER BY room_id LIMIT ?";
    let rooms: Vec<(Uuid,)> = sql(find).bind(user).bind(after).bind(limit).all(db).await?;
    Ok(rooms.into_iter().map(|(id,)| id).collect())
}

/// Replaces `user` in every entry and notice in SQL, chunk by chunk, and forgets what they have read.
pub(super) async fn anonymise(db: &Db, user: Uuid) -> Result<(), RoomError> {
    sql("DELETE FROM room_reads WHERE user_id = ?").bind(user).run(db).await?;
    loop {
        let found: Option<Uuid> = sql("SELECT room_id FROM room_entries WHERE person_id = ? ORDER BY room_id LIMIT 1")
            .bind(user)
            .scalar(db)
            .await?;
        let Some(room) = found else { return Ok(()) };
        crate::transaction!(db, |tx| anonymise_in(tx, room, user)).map_err(RoomError::from)?;
    }
}

#[derive(sqlx::FromRow)]
struct NamedRow {
    epoch: Uuid,
    seq: i64,
    json: String,
}

async fn anonymise_in(tx: &mut Tx, room: Uuid, user: Uuid) -> Result<(), TxError> {
    let row = lock_room(tx, room, Uuid::nil()).await?;
    if let Some(notice) = row.notice.as_deref()
        && let Some(notice) = anonymise_notice(notice, user)?
    {
        set_notice(tx, room, Some(&notice)).await?;
    }
    let find =
        "SELECT epoch, seq, json FROM room_entries WHERE room_id = ? AND person_id = ? ORDER BY epoch, seq LIMIT ?";
    let rows: Vec<NamedRow> = sql(find).bind(room).bind(user).bind(CHUNK).all(&mut *tx).await?;
    for logs in rows.chunk_by(|a, b| a.epoch == b.epoch) {
        let renamed = logs.iter().map(|row| {
            let json = anonymise_raw(&row.json, user)?.unwrap_or_else(|| row.json.clone());
            Ok(RawEntry::new(row.seq.unsigned_abs(), json))
        });
        let renamed = renamed.collect::<Result<Vec<_>, RoomError>>()?;
        put(tx, room, logs[0].epoch, &renamed).await?;
    }
    Ok(())
}
