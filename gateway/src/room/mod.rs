//! One room on this gateway: one subscription, one task, the seats of the connections that joined it.
//!
//! The task reads signals in order and is the only one that moves the room's position, so every seat sees the same entries
//! in the same order. A gap, a signal to check, or another epoch make it read the log before anything newer is delivered.

mod mentions;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::rooms::{
    Range, RawEntry, RoomError, RoomStore, Signal, Subscription,
    merge::{Progress, Step},
};
use serde::Deserialize;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior},
};
use uuid::Uuid;
use wire::{Change, Ephemeral, Frame, Position};

use self::mentions::{Heard, Mentions};
use crate::{frame, metrics::Metrics, outgoing::Encoded, seat::Seat};

/// Entries a `joined` frame brings to someone without a position.
pub const FRESH_ENTRIES: usize = 50;
/// Entries read at a time while healing.
const HEAL_PAGE: usize = 500;
/// Recent entries kept for those who join while entries fly.
const RING_ENTRIES: usize = 64;
const RING_BYTES: usize = 32 * 1024;
/// Entries gathered, at most.
const MAX_GATHERED: usize = 64;
/// How long a room without anyone in it stays subscribed: people who reconnect come back soon.
const LINGER: Duration = Duration::from_secs(10);
/// A room that has just delivered gathers what comes within this time and delivers it at once: each socket is then written to
/// once for several entries. Rooms with fewer entries than one in this time never wait.
const GATHER: Duration = Duration::from_millis(15);
/// How often a big room tells what it has summarised.
const SUMMARY: Duration = Duration::from_secs(1);
/// Seats that one task delivers to; the seats of a big room are shared out to several.
const SEATS_OF_A_TASK: usize = 256;
/// How long healing waits, at most, for readers to take what it delivers.
const PATIENCE: Duration = Duration::from_secs(2);
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
    progress: Progress,
    seats: Vec<Arc<Seat>>,
    /// Entries that are numbered but not handed out yet, with their frames.
    gathered: Vec<(u64, Encoded)>,
    delivered_at: Instant,
    mentions: Mentions,
    ring: VecDeque<RawEntry>,
    ring_bytes: usize,
    closed: bool,
    /// Since when nobody has been here, if nobody is.
    empty_since: Option<Instant>,
}

impl State {
    /// Keeps an entry for those who join while it flies.
    fn remember(&mut self, entry: RawEntry) {
        self.ring_bytes += entry.json.len();
        self.ring.push_back(entry);
        while self.ring.len() > RING_ENTRIES || self.ring_bytes > RING_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.json.len();
        }
    }

    /// Frees the seat of a connection, if it has one.
    fn give_up(&mut self, connection: Uuid) {
        if let Some(index) = self.seats.iter().position(|seat| seat.connection == connection) {
            self.seats.swap_remove(index).vacate();
        }
    }
}

/// What is handed out to every seat at once.
struct Batch {
    entries: Vec<(u64, Encoded)>,
    mentions: Heard,
}

impl Batch {
    /// Returns how many entries were delivered.
    fn hand_to(&self, seats: &[Arc<Seat>]) -> usize {
        seats.iter().map(|seat| self.hand_to_one(seat)).sum()
    }

    fn hand_to_one(&self, seat: &Seat) -> usize {
        // Said before: who has just written is not heard to write after that.
        self.mentions.hand_to(seat);
        if self.entries.is_empty() { 0 } else { seat.deliver(&self.entries) }
    }
}

/// What the room does by itself, and when.
struct Due {
    deserted: Option<Instant>,
    entries: Option<Instant>,
    mentions: Option<Instant>,
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
    /// Subscribes to the room and begins at the log's head. With more than `big` people it summarises what is said in passing.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn open(
        id: Uuid,
        store: Arc<dyn RoomStore>,
        metrics: Metrics,
        big: u64,
    ) -> Result<(Arc<Self>, Subscription), RoomError> {
        // Subscribed first: whatever is appended after the head was read is signalled.
        let subscription = store.subscribe(id).await?;
        let state = State {
            progress: Progress::at(store.head(id).await?),
            seats: Vec::new(),
            gathered: Vec::new(),
            delivered_at: Instant::now(),
            mentions: Mentions::new(big),
            ring: VecDeque::new(),
            ring_bytes: 0,
            closed: false,
            empty_since: Some(Instant::now()),
        };
        let room = Self { id, store, metrics, state: Mutex::new(state), check: Notify::new(), emptied: Notify::new() };
        Ok((Arc::new(room), subscription))
    }

    /// Delivers until nobody has been here for a while.
    pub async fn run(self: Arc<Self>, mut subscription: Subscription) {
        let mut summary = tokio::time::interval(SUMMARY);
        summary.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Due { deserted, entries, mentions } = self.due();
            tokio::select! {
                signal = subscription.next() => match signal {
                    Some(Signal::Entry { epoch, entry }) => self.on_entry(epoch, entry).await,
                    Some(Signal::Check) => self.heal().await,
                    Some(Signal::Ephemeral { event, json }) => self.mention(&event, json).await,
                    None => return,
                },
                () = self.check.notified() => self.heal().await,
                // Begins the wait below.
                () = self.emptied.notified() => {}
                () = tokio::time::sleep_until(entries.unwrap_or_else(Instant::now)), if entries.is_some() => {
                    self.hand_out().await;
                }
                () = tokio::time::sleep_until(mentions.unwrap_or_else(Instant::now)), if mentions.is_some() => {
                    self.hand_out_mentions().await;
                }
                _ = summary.tick(), if self.has_summary() => self.tell_summary().await,
                () = tokio::time::sleep_until(deserted.unwrap_or_else(Instant::now)), if deserted.is_some() => {
                    if self.close_if_empty() {
                        return;
                    }
                }
            }
        }
    }

    async fn on_entry(&self, epoch: Uuid, entry: RawEntry) {
        if !self.deliver(epoch, entry).await {
            self.heal().await;
        }
    }

    /// Reads from the log what is missing, for as long as it takes.
    async fn heal(&self) {
        self.metrics.heals.inc();
        // What is here already need not wait for what is missing.
        self.hand_out().await;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.catch_up(until).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, room = %self.id, "the room's log could not be read; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// One step of healing, waiting for readers `until` then; `true` when the room is at the log's head.
    async fn catch_up(&self, until: Instant) -> Result<bool, RoomError> {
        let from = self.lock().progress;
        let page = self.store.read(self.id, Range::After(from.position().seq), HEAL_PAGE).await?;
        if from.compare(page.head) == Step::NewEpoch {
            return self.start_over().await.map(|()| true);
        }
        let empty = page.entries.is_empty();
        let contiguous = self.deliver_page(page.head.epoch, page.entries, until).await;
        let there = self.lock().progress.compare(page.head) == Step::Known;
        if contiguous && (there || !empty) {
            return Ok(there);
        }
        // What this room needs is not kept any more.
        self.start_over().await.map(|()| true)
    }

    /// Delivers what is new of a page, as fast as its readers take it, or faster when they have not taken it `until` then; `false`
    /// if entries are missing before it.
    async fn deliver_page(&self, epoch: Uuid, entries: Vec<RawEntry>, until: Instant) -> bool {
        for (index, entry) in entries.into_iter().enumerate() {
            if index % MAX_GATHERED == 0 {
                self.wait_for_readers(until).await;
            }
            if !self.deliver(epoch, entry).await {
                return false;
            }
        }
        true
    }

    /// Waits until nobody's queue is half full. What was missed in minutes would otherwise come in an instant, and overflow the
    /// queues of readers that are not slow at all.
    async fn wait_for_readers(&self, until: Instant) {
        let seats = self.lock().seats.clone();
        while Instant::now() < until && seats.iter().any(|seat| seat.is_behind()) {
            tokio::time::sleep(GATHER).await;
        }
    }

    /// The log was lost and began anew, or has lost what this room needs: everyone gets a fresh page.
    async fn start_over(&self) -> Result<(), RoomError> {
        let page = self.store.read(self.id, Range::Latest, FRESH_ENTRIES).await?;
        let notice = page.latest_notice()?;
        let mut state = self.lock();
        let position = Position { seq: page.entries.last().map_or(page.head.seq, |entry| entry.seq), ..page.head };
        state.progress = Progress::at(position);
        state.gathered.clear();
        state.ring.clear();
        state.ring_bytes = 0;
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
                online: state.mentions.online(),
                read_seq: 0,
                unread: 0,
            };
            seat.tell(frame::encode_joined(&joined, &page.entries));
        }
        Ok(())
    }

    fn due(&self) -> Due {
        let state = self.lock();
        Due {
            deserted: state.empty_since.map(|since| since + LINGER),
            entries: (!state.gathered.is_empty()).then(|| state.delivered_at + GATHER),
            mentions: state.mentions.due(),
        }
    }

    /// Takes an entry of the log to every seat, if it is new: at once or gathered with those that follow. `false` if entries
    /// are missing before it. Its frame is made once; each queue gets a cheap clone.
    async fn deliver(&self, epoch: Uuid, entry: RawEntry) -> bool {
        let seq = entry.seq;
        // A frame that this cannot read is passed on all the same.
        let json = Arc::clone(&entry.json);
        let head = serde_json::from_str::<Head<'_>>(&json).ok().filter(|head| head.kind != "message");
        let at_once = {
            let mut state = self.lock();
            match state.progress.step(epoch, seq) {
                Step::Deliver => {}
                Step::Known => return true,
                Step::Gap { .. } | Step::NewEpoch => return false,
            }
            if let Some(head) = &head {
                apply(&state, seq, head);
            }
            state.gathered.push((seq, Encoded::text(&json)));
            state.remember(entry);
            head.is_some() || state.gathered.len() >= MAX_GATHERED || state.delivered_at.elapsed() >= GATHER
        };
        if at_once {
            self.hand_out().await;
        }
        for gone in head.map(|head| vacate(&mut self.lock(), seq, &head)).unwrap_or_default() {
            let (store, room) = (Arc::clone(&self.store), self.id);
            // Presence forgets them by itself if this fails.
            tokio::spawn(async move { store.exit(room, gone.user, gone.connection).await });
        }
        true
    }

    async fn hand_out(&self) {
        let batch = {
            let mut state = self.lock();
            state.delivered_at = Instant::now();
            Batch { entries: std::mem::take(&mut state.gathered), mentions: state.mentions.take() }
        };
        self.hand_to_all(batch).await;
    }

    async fn hand_out_mentions(&self) {
        let mentions = self.lock().mentions.take();
        self.hand_to_all(Batch { entries: Vec::new(), mentions }).await;
    }

    /// Only the room's task does this, one batch after the other. Seats that are taken meanwhile have come with all of it.
    async fn hand_to_all(&self, batch: Batch) {
        let seats = self.lock().seats.clone();
        let delivered = if seats.len() <= SEATS_OF_A_TASK {
            batch.hand_to(&seats)
        } else {
            let batch = Arc::new(batch);
            let shares = seats.chunks(SEATS_OF_A_TASK).map(|share| {
                let (batch, share) = (Arc::clone(&batch), share.to_vec());
                tokio::spawn(async move { batch.hand_to(&share) })
            });
            let shares: Vec<_> = shares.collect();
            futures_util::future::join_all(shares).await.into_iter().flatten().sum()
        };
        self.metrics.deliveries.inc_by(delivered as u64);
    }

    /// Passes on what is not in the log: at once, or summarised where many would hear of many.
    async fn mention(&self, event: &Ephemeral, json: Arc<str>) {
        let due = self.lock().mentions.gather(event, json);
        if due {
            self.hand_out_mentions().await;
        }
    }

    fn has_summary(&self) -> bool {
        self.lock().mentions.has_summary()
    }

    async fn tell_summary(&self) {
        self.lock().mentions.summarise(self.id);
        self.hand_out_mentions().await;
    }

    /// Takes a seat for a connection that has everything up to `have`. `joined` makes the frame that comes before anything else
    /// of the room, from what the room has delivered since then.
    ///
    /// # Errors
    /// [`NotYet`] says what to do first.
    pub fn attach(
        &self,
        have: Position,
        seat: impl FnOnce(u64) -> Seat,
        joined: impl FnOnce(&Seat, Vec<RawEntry>) -> Encoded,
    ) -> Result<Arc<Seat>, NotYet> {
        let mut state = self.lock();
        if state.closed {
            return Err(NotYet::Closed);
        }
        let position = state.progress.position();
        if have.epoch != position.epoch {
            return Err(NotYet::OtherEpoch);
        }
        let missed: Vec<RawEntry> = state.ring.iter().filter(|entry| entry.seq > have.seq).cloned().collect();
        if position.seq > have.seq && missed.first().is_none_or(|first| first.seq != have.seq + 1) {
            return Err(NotYet::Behind);
        }
        let seat = Arc::new(seat(have.seq.max(position.seq)));
        seat.hear_from(state.mentions.count());
        // A connection that joins again gives up the place that it had.
        state.give_up(seat.connection);
        seat.tell(joined(&seat, missed));
        state.seats.push(Arc::clone(&seat));
        state.empty_since = None;
        Ok(seat)
    }

    /// Gives up a connection's seat.
    pub fn detach(&self, connection: Uuid) {
        let mut state = self.lock();
        state.give_up(connection);
        if state.seats.is_empty() {
            state.empty_since = Some(Instant::now());
            drop(state);
            self.emptied.notify_one();
        }
    }

    /// Asks the room to compare itself with its log.
    pub fn check(&self) {
        self.check.notify_one();
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

/// What the entry numbered `seq` changes about who may do what: before anyone is told, for whoever is told may act on it at once.
/// Seats that were taken with the entry know already.
fn apply(state: &State, seq: u64, head: &Head<'_>) {
    match (head.kind, head.change, &head.user) {
        ("member", Some(Change::Host), Some(user)) => {
            state.seats.iter().filter(|seat| seat.after() < seq).for_each(|seat| seat.set_host(user.id));
        }
        ("closed", ..) => state.seats.iter().for_each(|seat| seat.set_read_only()),
        _ => {}
    }
}

/// Returns the seats that are given up by the entry numbered `seq`: their user has just been told, and from now on they hear nothing.
/// Seats that were taken with the entry are of someone who has come back.
fn vacate(state: &mut State, seq: u64, head: &Head<'_>) -> Vec<Arc<Seat>> {
    let ("member", Some(Change::Left | Change::Removed), Some(user)) = (head.kind, head.change, &head.user) else {
        return Vec::new();
    };
    let leaves = |seat: &Arc<Seat>| seat.user == user.id && seat.after() < seq;
    let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut state.seats).into_iter().partition(leaves);
    state.seats = stay;
    gone.iter().for_each(|seat| seat.vacate());
    if state.seats.is_empty() {
        state.empty_since.get_or_insert_with(Instant::now);
    }
    gone
}
