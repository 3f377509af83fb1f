//! Resync: reads from the log what a room is missing, after a gap, a signal to check, or a change of epoch.
//!
//! It runs within the room's task, so nothing newer is delivered before it is done.

use std::time::Duration;

use common::rooms::{Range, RawEntry, RoomError, merge::Step};
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Frame, Position};

use super::{
    FRESH_ENTRIES, Room,
    state::{BATCH_ENTRIES, BATCH_INTERVAL},
};
use crate::transport::frame;

/// Entries read at a time.
const PAGE_ENTRIES: usize = 500;
/// How long a resync waits for slow readers, at most; afterwards it delivers without regard to them.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause after the log did not answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Brings the room to the head of its log, for as long as it takes.
pub(super) async fn resync(room: &Room) {
    room.metrics.resyncs.inc();
    // What is here already need not wait for what is missing.
    room.deliver_batch().await;
    let until = Instant::now() + CATCH_UP_TIMEOUT;
    loop {
        match catch_up(room, until).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, room = %room.id, "resync: log read failed; trying again");
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Reads and delivers one page, waiting for slow readers no longer than `until`. Returns whether the room is at the head of its
/// log.
async fn catch_up(room: &Room, until: Instant) -> Result<bool, RoomError> {
    let from = room.lock().progress;
    let page = room.store.read(room.id, Range::After(from.position().seq), PAGE_ENTRIES).await?;
    if from.compare(page.head) == Step::NewEpoch {
        return start_over(room).await.map(|()| true);
    }
    let empty = page.entries.is_empty();
    let contiguous = deliver_page(room, page.head.epoch, page.entries, until).await;
    let at_head = room.lock().progress.compare(page.head) == Step::Known;
    if contiguous && (at_head || !empty) {
        return Ok(at_head);
    }
    // The log does not keep what this room needs any more.
    start_over(room).await.map(|()| true)
}

/// Delivers what is new of a page. `false` if entries are missing before it.
async fn deliver_page(room: &Room, epoch: Uuid, entries: Vec<RawEntry>, until: Instant) -> bool {
    for (index, entry) in entries.into_iter().enumerate() {
        if index % BATCH_ENTRIES == 0 {
            wait_for_readers(room, until).await;
        }
        if !room.deliver_entry(epoch, entry).await {
            return false;
        }
    }
    true
}

/// Waits until no subscriber's queue is half full. Otherwise what was missed in minutes would come in an instant, and overflow
/// the queues of readers that are not slow at all.
async fn wait_for_readers(room: &Room, until: Instant) {
    let subscribers = room.lock().subscribers.clone();
    while Instant::now() < until && subscribers.iter().any(|subscriber| subscriber.is_behind()) {
        tokio::time::sleep(BATCH_INTERVAL).await;
    }
}

/// Sends every subscriber the latest page: the log was lost and began anew, or does not keep what this room needs.
async fn start_over(room: &Room) -> Result<(), RoomError> {
    let page = room.store.read(room.id, Range::Latest, FRESH_ENTRIES).await?;
    let notice = page.latest_notice()?;
    let mut state = room.lock();
    let position = Position { seq: page.entries.last().map_or(page.head.seq, |entry| entry.seq), ..page.head };
    state.restart(position);
    for subscriber in &state.subscribers {
        subscriber.reset_joined_seq();
        let joined = Frame::Joined {
            id: None,
            room: room.id,
            epoch: position.epoch,
            seq: position.seq,
            recovered: false,
            entries: Vec::new(),
            notice: notice.clone(),
            role: subscriber.role(),
            online: state.ephemeral.online(),
            read_seq: 0,
            unread: 0,
        };
        subscriber.push_joined(frame::encode_joined(&joined, &page.entries));
    }
    Ok(())
}
