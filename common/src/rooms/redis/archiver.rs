//! Archiver: moves entries beyond the cap of a room's list to SQL, and closes rooms for good.
//!
//! Each step may be the last before a crash, and may be taken by two processes at once: entries are stored in SQL, with
//! their present state, before they leave the list; they leave it only if nothing was changed since they were read; and
//! the lock of the room's row orders all who write its archive.

use std::sync::Arc;

use dashmap::DashSet;
use tokio::sync::Notify;
use uuid::Uuid;
use wire::Position;

use super::{Inner, client::Command, keys, log::ListPage};
use crate::{
    db::Tx,
    rooms::{
        Range, RoomError,
        archive::{self, CHUNK, TxError},
    },
    time::Timestamp,
    transaction,
};

/// How far a list may grow beyond its cap, so that entries are moved in chunks and not one by one.
const SLACK: usize = CHUNK;

/// The rooms whose lists are longer than they may be.
pub(super) struct Archiver {
    cap: usize,
    long: DashSet<Uuid>,
    wake: Notify,
}

impl Archiver {
    pub(super) fn new(cap: usize) -> Self {
        Self { cap, long: DashSet::new(), wake: Notify::new() }
    }

    pub(super) const fn cap(&self) -> usize {
        self.cap
    }

    /// Takes note of the length of a room's list, and has it archived when it is too long.
    pub(super) fn note_length(&self, room: Uuid, length: usize) {
        if length >= self.cap + SLACK && self.long.insert(room) {
            self.wake.notify_one();
        }
    }

    /// Takes a room off the set of those that are too long; the next append to it may put it back.
    fn take(&self) -> Option<Uuid> {
        let room = self.long.iter().next().map(|room| *room)?;
        self.long.remove(&room)
    }
}

impl Inner {
    pub(super) async fn archive_long_rooms(self: Arc<Self>) {
        loop {
            while let Some(room) = self.archiver.take() {
                if let Err(error) = self.archive(room, self.archiver.cap).await {
                    tracing::warn!(%error, %room, "the room could not be archived; trying again when it grows");
                }
            }
            self.archiver.wake.notified().await;
        }
    }

    /// Moves entries to SQL, chunk by chunk, until at most `keep` are in the list. Returns how many were moved.
    pub(super) async fn archive(&self, room: Uuid, keep: usize) -> Result<u64, RoomError> {
        let mut moved = 0;
        loop {
            let page = transaction!(self.db, |tx| self.archive_chunk(tx, room, keep)).map_err(RoomError::from)?;
            let Some(page) = page else { return Ok(moved) };
            if self.trim(room, &page).await? {
                moved += page.entries.len() as u64;
            }
        }
    }

    /// Stores the oldest entries of the list that are beyond `keep`; `None` if there are none.
    async fn archive_chunk(&self, tx: &mut Tx, room: Uuid, keep: usize) -> Result<Option<ListPage>, TxError> {
        archive::lock_room(tx, room, self.ids.next_id()).await?;
        let Some(mut page) = self.read_list(room, Range::After(0), CHUNK, None).await? else { return Ok(None) };
        let beyond = (page.head.seq - page.base).saturating_sub(keep as u64);
        page.entries.truncate(usize::try_from(beyond).unwrap_or(CHUNK));
        let Some(last) = page.entries.last() else { return Ok(None) };
        archive::put(tx, room, page.head.epoch, &page.entries).await?;
        archive::set_head(tx, room, Position { seq: last.seq, ..page.head }).await?;
        Ok(Some(page))
    }

    async fn trim(&self, room: Uuid, page: &ListPage) -> Result<bool, RoomError> {
        let args = [
            page.head.epoch.to_string(),
            page.base.to_string(),
            page.changes.to_string(),
            page.entries.len().to_string(),
        ];
        self.redis.eval(&self.redis.scripts.trim, &[keys::log(room), keys::meta(room)], &args).await
    }

    /// Moves all of a room to SQL and removes it from Redis.
    pub(super) async fn retire(&self, room: Uuid, now: Timestamp) -> Result<(), RoomError> {
        // SQL first: from then on no log begins, and the script below stops the one that has.
        self.set_closing(room, now).await?;
        self.redis.eval::<()>(&self.redis.scripts.close, &[keys::meta(room)], &[]).await?;
        // Appends under way have ended, but messages may still be edited by whoever forgets a person.
        loop {
            self.archive(room, 0).await?;
            let Some(left) = self.set_closing(room, now).await? else { break };
            if left.base == left.head.seq && self.drop_log(room, &left).await? {
                break;
            }
        }
        let end = async |tx: &mut Tx| archive::set_closed(tx, room, now, true).await;
        Ok(transaction!(self.db, |tx| end(tx))?)
    }

    /// Records in SQL that the room takes no more entries, with the end of its log in Redis, which is returned if there is one.
    async fn set_closing(&self, room: Uuid, now: Timestamp) -> Result<Option<ListPage>, RoomError> {
        let left = self.read_list(room, Range::Latest, 0, None).await?;
        let epoch = left.as_ref().map_or_else(|| self.ids.next_id(), |left| left.head.epoch);
        let notice = self.raw_notice(room).await?;
        let set = async |tx: &mut Tx| {
            archive::lock_room(tx, room, epoch).await?;
            if let Some(left) = &left {
                archive::set_head(tx, room, left.head).await?;
                archive::set_notice(tx, room, notice.as_deref()).await?;
            }
            archive::set_closed(tx, room, now, false).await
        };
        transaction!(self.db, |tx| set(tx))?;
        Ok(left)
    }

    async fn raw_notice(&self, room: Uuid) -> Result<Option<String>, RoomError> {
        self.redis.run(Command::new("HGET", &keys::meta(room)).arg("notice")).await
    }

    async fn drop_log(&self, room: Uuid, left: &ListPage) -> Result<bool, RoomError> {
        let keys = keys::kept(room);
        let args = [left.head.epoch.to_string(), left.head.seq.to_string(), left.changes.to_string()];
        self.redis.eval(&self.redis.scripts.drop, &keys, &args).await
    }
}
