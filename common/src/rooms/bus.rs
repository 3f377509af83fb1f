//! In-process bus: fan-out of appended entries and ephemeral events to the subscribers of a room in this process.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::RawEntry;
use wire::{Ephemeral, Position};

/// Signals waiting for one subscriber, at most; one further behind is told to [`Signal::Check`] the log instead. Every room with
/// a subscriber has memory for as many.
const CAPACITY: usize = 256;

/// A signal to a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// An entry was appended.
    Entry {
        /// The log's epoch.
        epoch: Uuid,
        /// The entry.
        entry: RawEntry,
    },
    /// An ephemeral event.
    Ephemeral {
        /// The event.
        event: Ephemeral,
        /// The JSON text that clients receive.
        json: Arc<str>,
    },
    /// Entries may have been missed: compare with the log's head.
    Check,
}

/// A subscription to one room. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Signal>,
    _guard: Option<Guard>,
}

/// Runs a clean-up when the subscription is dropped.
struct Guard(Option<Box<dyn FnOnce() + Send + Sync>>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(clean_up) = self.0.take() {
            clean_up();
        }
    }
}

impl Subscription {
    /// Runs `clean_up` when this subscription is dropped.
    #[must_use]
    pub fn on_drop(mut self, clean_up: impl FnOnce() + Send + Sync + 'static) -> Self {
        self._guard = Some(Guard(Some(Box::new(clean_up))));
        self
    }

    /// The next signal; `None` when the store is closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<Signal> {
        match self.receiver.recv().await {
            Ok(signal) => Some(signal),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Signal::Check),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Channels of the rooms that have subscribers.
#[derive(Debug)]
pub struct Bus {
    rooms: DashMap<Uuid, Channel>,
    sessions: broadcast::Sender<SessionChange>,
}

/// The channel of one room.
#[derive(Debug)]
struct Channel {
    sender: broadcast::Sender<Signal>,
    known: Known,
}

/// The head of a log that the subscribers of its room were told of.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// None yet.
    Nothing,
    /// A position, or that there is no log.
    Head(Option<Position>),
}

/// Log-in sessions ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// Of one user: some or all.
    Of(Uuid),
    /// Of any user: notifications may have been lost.
    Anyone,
}

/// A subscription to [`SessionChange`]s.
#[derive(Debug)]
pub struct SessionChanges(broadcast::Receiver<SessionChange>);

impl SessionChanges {
    /// The next change; `None` when the store is closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<SessionChange> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(SessionChange::Anyone),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Bus {
    /// An empty bus.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { rooms: DashMap::new(), sessions: broadcast::Sender::new(CAPACITY) })
    }

    /// Subscribes to notifications of ended sessions.
    pub fn session_changes(&self) -> SessionChanges {
        SessionChanges(self.sessions.subscribe())
    }

    /// Notifies of ended sessions.
    pub fn sessions_changed(&self, change: SessionChange) {
        // Nobody may be listening, which is fine.
        drop(self.sessions.send(change));
    }

    /// Subscribes to a room.
    pub fn subscribe(&self, room: Uuid) -> Subscription {
        let channel = || Channel { sender: broadcast::Sender::new(CAPACITY), known: Known::Nothing };
        let mut channel = self.rooms.entry(room).or_insert_with(channel);
        // The new one was told of nothing.
        channel.known = Known::Nothing;
        Subscription { receiver: channel.sender.subscribe(), _guard: None }
    }

    /// Signals the subscribers of a room, if there are any.
    pub fn signal(&self, room: Uuid, signal: Signal) {
        let deaf = match self.rooms.get_mut(&room) {
            Some(mut channel) => {
                if let Signal::Entry { epoch, entry } = &signal {
                    channel.known = Known::Head(Some(Position { epoch: *epoch, seq: entry.seq }));
                }
                channel.sender.send(signal).is_err()
            }
            None => false,
        };
        if deaf {
            self.forget_deaf(room);
        }
    }

    /// Takes the head of a room's log, `None` if it has none, and tells the subscribers to check the log unless that is what they
    /// were told of last.
    pub fn compare(&self, room: Uuid, head: Option<Position>) {
        let told = self.rooms.get(&room).is_none_or(|channel| channel.known == Known::Head(head));
        if !told {
            self.signal(room, Signal::Check);
            if let Some(mut channel) = self.rooms.get_mut(&room) {
                channel.known = Known::Head(head);
            }
        }
    }

    /// Forgets a room that nobody listens to; `true` if nobody does.
    pub fn forget_deaf(&self, room: Uuid) -> bool {
        self.rooms.remove_if(&room, |_, channel| channel.sender.receiver_count() == 0);
        !self.rooms.contains_key(&room)
    }

    /// Ends every subscription.
    pub fn close(&self) {
        self.rooms.clear();
    }
}
