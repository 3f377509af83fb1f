//! State of a room: its position in the log, its subscribers, and what waits to be delivered to them. Pure state, no I/O.
//!
//! Only the room's task moves the position, so all subscribers get the same entries in the same order.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use common::rooms::{
    EntryKind, RawEntry,
    merge::{Progress, Step},
};
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Change, Position};

use super::{
    ephemeral::{EphemeralBatch, EphemeralBuffer},
    fanout::Batch,
    subscriber::Subscriber,
};
use crate::transport::encoded::Encoded;

/// Entries of one batch, at most.
pub(super) const BATCH_ENTRIES: usize = 64;
/// A room that has just delivered collects what comes within this time and delivers it at once: each socket is then written to
/// once for several entries. Rooms with fewer entries than one in this time never wait.
pub(super) const BATCH_INTERVAL: Duration = Duration::from_millis(15);
/// Recent entries kept for connections that join while entries arrive.
const RECENT_ENTRIES: usize = 64;
/// Bytes of recent entries, at most.
const RECENT_BYTES: usize = 32 * 1024;
/// How long a room without subscribers stays open: people who reconnect come back soon.
const LINGER: Duration = Duration::from_secs(10);

/// Why a connection cannot be subscribed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The room was closed; ask the hub for it again.
    Closed,
    /// The room has delivered more than it keeps; read the log again.
    Behind,
    /// The page is of another epoch than the room; let the room resync and read again.
    OtherEpoch,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is to be delivered: now if `due`, otherwise with the entries that follow within [`BATCH_INTERVAL`].
    Batched {
        /// Whether the batch is to be delivered now.
        due: bool,
    },
    /// It was delivered before.
    Known,
    /// Entries are missing before it, or it is of another epoch.
    Gap,
}

/// What the room's task has to do by itself, and when.
pub(super) struct Deadlines {
    /// Close the room, unless it has a subscriber then.
    pub(super) close: Option<Instant>,
    /// Deliver the batch of entries.
    pub(super) entries: Option<Instant>,
    /// Deliver the batch of ephemeral events.
    pub(super) ephemeral: Option<Instant>,
}

/// State of a room.
pub(super) struct State {
    pub(super) progress: Progress,
    pub(super) subscribers: Vec<Arc<Subscriber>>,
    pub(super) ephemeral: EphemeralBuffer,
    /// Entries that are accepted and not delivered yet, with their frames.
    batch: Vec<(u64, Encoded)>,
    delivered_at: Instant,
    recent: VecDeque<RawEntry>,
    recent_bytes: usize,
    closed: bool,
    /// Since when it has no subscriber, if it has none.
    empty_since: Option<Instant>,
}

impl State {
    /// A room without subscribers at the log's `head`. With more than `big_room` people it summarises ephemeral events.
    pub(super) fn new(head: Position, big_room: u64) -> Self {
        Self {
            progress: Progress::at(head),
            subscribers: Vec::new(),
            ephemeral: EphemeralBuffer::new(big_room),
            batch: Vec::new(),
            delivered_at: Instant::now(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            closed: false,
            empty_since: Some(Instant::now()),
        }
    }

    /// Accepts an entry if it is the next one. What it changes about who may do what holds from now on: before anyone gets it,
    /// for whoever gets it may act on it at once.
    pub(super) fn accept(&mut self, epoch: Uuid, entry: RawEntry) -> Accepted {
        match self.progress.step(epoch, entry.seq) {
            Step::Deliver => {}
            Step::Known => return Accepted::Known,
            Step::Gap { .. } | Step::NewEpoch => return Accepted::Gap,
        }
        let kind = entry.kind();
        self.apply(entry.seq, kind);
        self.batch.push((entry.seq, Encoded::text(&entry.json)));
        self.remember(entry);
        let due = kind != EntryKind::Message
            || self.batch.len() >= BATCH_ENTRIES
            || self.delivered_at.elapsed() >= BATCH_INTERVAL;
        Accepted::Batched { due }
    }

    /// Subscribers that joined with the entry know already.
    fn apply(&self, seq: u64, kind: EntryKind) {
        match kind {
            EntryKind::Member { user, change: Change::Host } => {
                let earlier = self.subscribers.iter().filter(|subscriber| subscriber.joined_seq() < seq);
                earlier.for_each(|subscriber| subscriber.set_host(user));
            }
            EntryKind::Closed => self.subscribers.iter().for_each(|subscriber| subscriber.set_read_only()),
            _ => {}
        }
    }

    /// Ends and returns the subscribers of `user`, who is no member any more by the entry numbered `seq`, which they have just
    /// been delivered. Subscribers that joined with the entry are of someone who has come back.
    pub(super) fn end_membership(&mut self, user: Uuid, seq: u64) -> Vec<Arc<Subscriber>> {
        let leaves = |subscriber: &Arc<Subscriber>| subscriber.user == user && subscriber.joined_seq() < seq;
        let (ended, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.subscribers).into_iter().partition(leaves);
        self.subscribers = stay;
        ended.iter().for_each(|subscriber| subscriber.end());
        if self.subscribers.is_empty() {
            self.empty_since.get_or_insert_with(Instant::now);
        }
        ended
    }

    /// Everything that waits to be delivered.
    pub(super) fn take_batch(&mut self) -> Batch {
        self.delivered_at = Instant::now();
        Batch { entries: std::mem::take(&mut self.batch), ephemeral: self.ephemeral.take() }
    }

    /// The ephemeral events that wait to be delivered.
    pub(super) fn take_ephemeral(&mut self) -> EphemeralBatch {
        self.ephemeral.take()
    }

    /// Goes on at another position; what waits to be delivered is void.
    pub(super) fn restart(&mut self, position: Position) {
        self.progress = Progress::at(position);
        self.batch.clear();
        self.recent.clear();
        self.recent_bytes = 0;
    }

    /// Adds a subscriber of a connection that has everything up to `have`: see `Room::subscribe`.
    pub(super) fn subscribe(
        &mut self,
        have: Position,
        subscriber: impl FnOnce(u64) -> Subscriber,
        joined: impl FnOnce(&Subscriber, Vec<RawEntry>) -> Encoded,
    ) -> Result<Arc<Subscriber>, SubscribeError> {
        if self.closed {
            return Err(SubscribeError::Closed);
        }
        let position = self.progress.position();
        if have.epoch != position.epoch {
            return Err(SubscribeError::OtherEpoch);
        }
        let missed: Vec<RawEntry> = self.recent.iter().filter(|entry| entry.seq > have.seq).cloned().collect();
        if position.seq > have.seq && missed.first().is_none_or(|first| first.seq != have.seq + 1) {
            return Err(SubscribeError::Behind);
        }
        let subscriber = Arc::new(subscriber(have.seq.max(position.seq)));
        subscriber.set_first_event(self.ephemeral.next_number());
        // A connection that joins again gives up its earlier subscriber.
        self.remove(subscriber.connection);
        subscriber.push_joined(joined(&subscriber, missed));
        self.subscribers.push(Arc::clone(&subscriber));
        self.empty_since = None;
        Ok(subscriber)
    }

    /// Ends a connection's subscriber, if it has one. Returns whether the room is empty.
    pub(super) fn unsubscribe(&mut self, connection: Uuid) -> bool {
        self.remove(connection);
        if self.subscribers.is_empty() {
            self.empty_since = Some(Instant::now());
        }
        self.subscribers.is_empty()
    }

    fn remove(&mut self, connection: Uuid) {
        if let Some(index) = self.subscribers.iter().position(|subscriber| subscriber.connection == connection) {
            self.subscribers.swap_remove(index).end();
        }
    }

    /// Closes the room if it has no subscriber: none can be added any more. Returns whether it is closed.
    pub(super) fn close_if_empty(&mut self) -> bool {
        self.closed = self.subscribers.is_empty();
        self.closed
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        Deadlines {
            close: self.empty_since.map(|since| since + LINGER),
            entries: (!self.batch.is_empty()).then(|| self.delivered_at + BATCH_INTERVAL),
            ephemeral: self.ephemeral.deadline(),
        }
    }

    fn remember(&mut self, entry: RawEntry) {
        self.recent_bytes += entry.json.len();
        self.recent.push_back(entry);
        while self.recent.len() > RECENT_ENTRIES || self.recent_bytes > RECENT_BYTES {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.json.len();
        }
    }
}
