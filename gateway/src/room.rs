//! One room on this gateway: one subscription, one task, the seats of the connections that joined it.
//!
//! The task reads signals in order and is the only one that moves the room's position, so every seat sees the same entries
//! in the same order. A gap, a signal to check, or another epoch make it read the log before anything newer is delivered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{
    rooms::{Range, RawEntry, RoomError, RoomStore, Signal, Subscription},
    wire::{Change, Frame, Position},
};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use crate::{frame, metrics::Metrics, seat::Seat};

/// Entries a `joined` frame brings to someone without a position.
pub const FRESH_ENTRIES: usize = 50;
/// Entries read at a time while healing.
const HEAL_PAGE: usize = 500;
/// Recent entries kept for those who join while entries fly.
const RING_ENTRIES: usize = 64;
const RING_BYTES: usize = 32 * 1024;
/// How long a room without anyone in it stays subscribed: people who reconnect come back soon.
const LINGER: Duration = Duration::from_secs(10);
/// Between two attempts to read the log while it does not answer.
const RETRY: Duration = Duration::from_millis(200);

/// See the module.
pub struct Room {
    /// The room's id: its meetup's.
    pub id: Uuid,
    store: Arc<dyn RoomStore>,
    metrics: Metrics,
    state: Mutex<State>,
    check: Notify,
    emptied: Notify,
}

struct State {
    position: Position,
    seats: Vec<Arc<Seat>>,
    ring: VecDeque<RawEntry>,
    ring_bytes: usize,
    closed: bool,
}

/// Why a seat cannot be taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotYet {
    /// The room was given up; ask the hub for it again.
    Closed,
    /// The room has delivered more than it remembers; read the log again.
    Behind,
    /// The page is of another epoch than the room; let it heal and read again.
    OtherEpoch,
}

/// What the gateway needs to know of an entry.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    user: Option<HeadUser>,
    #[serde(default)]
    change: Option<Change>,
}

#[derive(Deserialize)]
struct HeadUser {
    id: Uuid,
}

impl Room {
    /// Subscribes to the room and begins at the log's head.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn open(
        id: Uuid,
        store: Arc<dyn RoomStore>,
        metrics: Metrics,
    ) -> Result<(Arc<Self>, Subscription), RoomError> {
        // Subscribed first: whatever is appended after the head was read is signalled.
        let subscription = store.subscribe(id).await?;
        let position = store.head(id).await?;
        let state = State { position, seats: Vec::new(), ring: VecDeque::new(), ring_bytes: 0, closed: false };
        let room = Self { id, store, metrics, state: Mutex::new(state), check: Notify::new(), emptied: Notify::new() };
        Ok((Arc::new(room), subscription))
    }

    /// Delivers until nobody has been here for a while.
    pub async fn run(self: Arc<Self>, mut subscription: Subscription) {
        loop {
            tokio::select! {
                signal = subscription.next() => match signal {
                    Some(Signal::Entry { epoch, entry }) => self.on_entry(epoch, entry).await,
                    Some(Signal::Check) => self.heal().await,
                    Some(Signal::Ephemeral { .. }) => {}
                    None => return,
                },
                () = self.check.notified() => self.heal().await,
                // Begins the wait below.
                () = self.emptied.notified() => {}
                () = tokio::time::sleep(LINGER), if self.is_empty() => {
                    if self.close_if_empty() {
                        return;
                    }
                }
            }
        }
    }

    async fn on_entry(&self, epoch: Uuid, entry: RawEntry) {
        {
            let mut state = self.lock();
            if epoch == state.position.epoch && entry.seq <= state.position.seq {
                return;
            }
            if epoch == state.position.epoch && entry.seq == state.position.seq + 1 {
                self.deliver(&mut state, entry);
                return;
            }
        }
        self.heal().await;
    }

    /// Reads from the log what is missing, for as long as it takes.
    async fn heal(&self) {
        self.metrics.heals.inc();
        loop {
            match self.catch_up().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, room = %self.id, "the room's log could not be read; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// One step of healing; `true` when the room is at the log's head.
    async fn catch_up(&self) -> Result<bool, RoomError> {
        let from = self.position();
        let page = self.store.read(self.id, Range::After(from.seq), HEAL_PAGE).await?;
        let contiguous = page.entries.first().is_none_or(|entry| entry.seq == from.seq + 1);
        if page.head.epoch != from.epoch || page.head.seq < from.seq || !contiguous {
            self.start_over().await?;
            return Ok(true);
        }
        let mut state = self.lock();
        for entry in page.entries {
            self.deliver(&mut state, entry);
        }
        Ok(state.position.seq >= page.head.seq)
    }

    /// The log was lost and began anew, or has lost what this room needs: everyone gets a fresh page.
    async fn start_over(&self) -> Result<(), RoomError> {
        let page = self.store.read(self.id, Range::Latest, FRESH_ENTRIES).await?;
        let notice = self.store.notice(self.id).await?;
        let mut state = self.lock();
        state.position = Position { seq: page.entries.last().map_or(page.head.seq, |entry| entry.seq), ..page.head };
        state.ring.clear();
        state.ring_bytes = 0;
        let position = state.position;
        for seat in &state.seats {
            seat.restart();
            let joined = Frame::Joined {
                id: None,
                room: self.id,
                epoch: position.epoch,
                seq: position.seq,
                recovered: false,
                entries: Vec::new(),
                notice: notice.clone(),
                role: seat.role(),
            };
            seat.tell(frame::encode_joined(&joined, &page.entries));
        }
        Ok(())
    }

    /// Hands the next entry to every seat. Encoded once; each queue gets a cheap clone.
    fn deliver(&self, state: &mut State, entry: RawEntry) {
        state.position.seq = entry.seq;
        let text = Utf8Bytes::from(&*entry.json);
        let delivered = state.seats.iter().filter(|seat| seat.deliver(entry.seq, &text)).count();
        self.metrics.deliveries.inc_by(delivered as u64);
        if let Ok(head) = serde_json::from_str::<Head<'_>>(&entry.json) {
            apply(state, &head);
        }
        state.ring_bytes += entry.json.len();
        state.ring.push_back(entry);
        while state.ring.len() > RING_ENTRIES || state.ring_bytes > RING_BYTES {
            let Some(oldest) = state.ring.pop_front() else { break };
            state.ring_bytes -= oldest.json.len();
        }
    }

    /// Takes a seat for a connection that has everything up to `have`. Returns what the room has delivered since then, which
    /// the connection must write before anything of its queue.
    ///
    /// # Errors
    /// [`NotYet`] says what to do first.
    pub fn attach(&self, have: Position, seat: impl FnOnce(u64) -> Seat) -> Result<(Arc<Seat>, Vec<RawEntry>), NotYet> {
        let mut state = self.lock();
        if state.closed {
            return Err(NotYet::Closed);
        }
        if have.epoch != state.position.epoch {
            return Err(NotYet::OtherEpoch);
        }
        let missed: Vec<RawEntry> = state.ring.iter().filter(|entry| entry.seq > have.seq).cloned().collect();
        if state.position.seq > have.seq && missed.first().is_none_or(|first| first.seq != have.seq + 1) {
            return Err(NotYet::Behind);
        }
        let seat = Arc::new(seat(have.seq.max(state.position.seq)));
        state.seats.retain(|other| other.connection != seat.connection);
        state.seats.push(Arc::clone(&seat));
        Ok((seat, missed))
    }

    /// Gives up a connection's seat.
    pub fn detach(&self, connection: Uuid) {
        let mut state = self.lock();
        if let Some(index) = state.seats.iter().position(|seat| seat.connection == connection) {
            state.seats.swap_remove(index);
        }
        if state.seats.is_empty() {
            drop(state);
            self.emptied.notify_one();
        }
    }

    /// Asks the room to compare itself with its log.
    pub fn check(&self) {
        self.check.notify_one();
    }

    /// Where the room is.
    pub fn position(&self) -> Position {
        self.lock().position
    }

    fn is_empty(&self) -> bool {
        self.lock().seats.is_empty()
    }

    /// Whether the room is given up: nobody can take a seat any more.
    fn close_if_empty(&self) -> bool {
        let mut state = self.lock();
        state.closed = state.seats.is_empty();
        state.closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an entry changes about who may do what.
fn apply(state: &mut State, head: &Head<'_>) {
    match (head.kind, head.change, &head.user) {
        ("member", Some(Change::Left | Change::Removed), Some(user)) => {
            // They have just been told; from now on they hear nothing.
            state.seats.retain(|seat| {
                let gone = seat.user == user.id;
                if gone {
                    seat.vacate();
                }
                !gone
            });
        }
        ("member", Some(Change::Host), Some(user)) => state.seats.iter().for_each(|seat| seat.set_host(user.id)),
        ("closed", ..) => state.seats.iter().for_each(|seat| seat.set_read_only()),
        _ => {}
    }
}
