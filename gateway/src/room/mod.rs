//! A room on this gateway: one subscription to its log, one task, and the subscribers that joined it.
//!
//! Invariant: every subscriber gets the log in order, without gap or duplicate, from the position of its `joined` frame on.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`task`] | the task: reads the room's signals, delivers batches, closes the room |
//! | [`resync`] | reads missing entries from the log |
//! | [`state`] | position, subscribers, and what waits to be delivered |
//! | [`fanout`] | delivery of a batch to all subscribers |
//! | [`ephemeral`] | batching and summaries of ephemeral events |
//! | [`subscriber`] | one connection's subscription |

mod ephemeral;
mod fanout;
mod resync;
mod state;
pub mod subscriber;
pub mod task;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::rooms::{EntryKind, RawEntry, RoomError, RoomStore, Subscription};
use tokio::sync::Notify;
use uuid::Uuid;
use wire::{Change, Ephemeral, Position};

pub use self::state::SubscribeError;
use self::{
    fanout::Batch,
    state::{Accepted, State},
    subscriber::Subscriber,
};
use crate::{metrics::Metrics, transport::encoded::Encoded};

/// Entries of a `joined` frame without a position.
pub const FRESH_ENTRIES: usize = 50;

/// A room on this gateway. Its task is [`task::run`].
pub struct Room {
    /// The room's id: its meetup's.
    pub id: Uuid,
    store: Arc<dyn RoomStore>,
    metrics: Metrics,
    state: Mutex<State>,
    resync_requested: Notify,
    emptied: Notify,
}

impl Room {
    /// Subscribes to the room's log and begins at its head. With more than `big_room` people the room summarises its ephemeral
    /// events.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn open(
        id: Uuid,
        store: Arc<dyn RoomStore>,
        metrics: Metrics,
        big_room: u64,
    ) -> Result<(Arc<Self>, Subscription), RoomError> {
        // Subscribed first: whatever is appended after the head was read is signalled.
        let subscription = store.subscribe(id).await?;
        let state = Mutex::new(State::new(store.head(id).await?, big_room));
        let room = Self { id, store, metrics, state, resync_requested: Notify::new(), emptied: Notify::new() };
        Ok((Arc::new(room), subscription))
    }

    /// Subscribes a connection of `user` that has everything up to `have`, where the user's membership was read. `subscriber` makes its subscriber, for entries after a number;
    /// `joined` makes the frame that comes before anything else of the room, from what the room has delivered since `have`.
    ///
    /// # Errors
    /// [`SubscribeError`] says what to do first.
    pub fn subscribe(
        &self,
        user: Uuid,
        have: Position,
        subscriber: impl FnOnce(u64) -> Subscriber,
        joined: impl FnOnce(&Subscriber, Vec<RawEntry>) -> Encoded,
    ) -> Result<Arc<Subscriber>, SubscribeError> {
        self.lock().subscribe(user, have, subscriber, joined)
    }

    /// Ends a connection's subscription, if it has one.
    pub fn unsubscribe(&self, connection: Uuid) {
        if self.lock().unsubscribe(connection) {
            self.emptied.notify_one();
        }
    }

    /// Asks the room to compare its position with its log.
    pub fn request_resync(&self) {
        self.resync_requested.notify_one();
    }

    /// Delivers an entry of the log if it is new: at once, or batched with those that follow. `false` if entries are missing
    /// before it. Called by the room's task alone.
    async fn deliver_entry(&self, epoch: Uuid, entry: RawEntry) -> bool {
        let (seq, kind) = (entry.seq, entry.kind());
        let accepted = self.lock().accept(epoch, entry);
        match accepted {
            Accepted::Gap => return false,
            Accepted::Known => return true,
            Accepted::Batched { due: true } => self.deliver_batch().await,
            Accepted::Batched { due: false } => {}
        }
        if let EntryKind::Member { user, change: Change::Left | Change::Removed } = kind {
            let ended = self.lock().end_membership(user, seq);
            self.exit_all(ended);
        }
        true
    }

    /// Removes the presence of subscribers that have ended, in the background. If that fails, their presence expires by itself.
    fn exit_all(&self, ended: Vec<Arc<Subscriber>>) {
        for subscriber in ended {
            let (store, room) = (Arc::clone(&self.store), self.id);
            tokio::spawn(async move { store.exit(room, subscriber.user, subscriber.connection).await });
        }
    }

    /// Delivers everything that waits.
    async fn deliver_batch(&self) {
        let batch = self.lock().take_batch();
        self.fan_out(batch).await;
    }

    async fn deliver_ephemeral(&self) {
        let ephemeral = self.lock().take_ephemeral();
        self.fan_out(Batch { entries: Vec::new(), ephemeral }).await;
    }

    /// Only the room's task does this, one batch after the other. Whoever subscribes meanwhile has all of it in `joined`.
    async fn fan_out(&self, batch: Batch) {
        let subscribers = self.lock().subscribers.clone();
        let delivered = fanout::deliver(batch, &subscribers).await;
        self.metrics.deliveries.inc_by(delivered as u64);
    }

    /// Delivers an ephemeral event: at once, batched, or summarised in a big room.
    async fn add_ephemeral(&self, event: &Ephemeral, json: Arc<str>) {
        let due = self.lock().ephemeral.add(event, json);
        if due {
            self.deliver_ephemeral().await;
        }
    }

    fn has_summary(&self) -> bool {
        self.lock().ephemeral.has_summary()
    }

    async fn deliver_summary(&self) {
        self.lock().ephemeral.add_summary(self.id);
        self.deliver_ephemeral().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
