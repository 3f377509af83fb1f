//! Ephemeral events of a room: presence, typing, read receipts. Not in the log; delivery is best effort.
//!
//! Events that follow each other closely are delivered together. A room with more people than `big_room` delivers summaries
//! instead, about once a second. Pure state, no I/O.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;
use wire::Ephemeral;

use super::subscriber::Subscriber;
use crate::transport::encoded::Encoded;

/// Events of one batch, at most.
const BATCH_EVENTS: usize = 64;
/// The time between two batches: when many come or go at once, each connection is written to once for several events.
const BATCH_INTERVAL: Duration = Duration::from_millis(250);

/// An event's frame, and the user who does not get it because they caused it.
type Event = (Option<Uuid>, Encoded);

/// Events that wait to be delivered, numbered in the order in which they came.
pub(super) struct EphemeralBuffer {
    /// With more people than this the room delivers summaries.
    big_room: u64,
    /// People in the room, on every gateway, by the latest presence event.
    online: u64,
    waiting: Vec<Event>,
    /// How many were delivered before those that wait.
    delivered: u64,
    delivered_at: Instant,
    summary: Summary,
}

/// The latest event of each kind that a big room has not delivered.
#[derive(Default)]
struct Summary {
    presence: bool,
    typing: Option<Arc<str>>,
    read: Option<Arc<str>>,
}

/// Events that all subscribers get at once.
pub(super) struct EphemeralBatch {
    events: Vec<Event>,
    /// The number of the first of them.
    first: u64,
}

impl EphemeralBuffer {
    /// An empty buffer.
    pub(super) fn new(big_room: u64) -> Self {
        let (waiting, summary) = (Vec::new(), Summary::default());
        Self { big_room, online: 0, waiting, delivered: 0, delivered_at: Instant::now(), summary }
    }

    /// People in the room, on every gateway, by the latest presence event.
    pub(super) const fn online(&self) -> u64 {
        self.online
    }

    /// The number of the next event.
    pub(super) const fn next_number(&self) -> u64 {
        self.delivered + self.waiting.len() as u64
    }

    /// When the events that wait are to be delivered, if any do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.delivered_at + BATCH_INTERVAL)
    }

    /// Adds an event. Returns whether those that wait are to be delivered now: the last batch was long ago, or this one is full.
    pub(super) fn add(&mut self, event: &Ephemeral, json: Arc<str>) -> bool {
        if let Ephemeral::Presence { online, .. } = event {
            self.online = *online;
        }
        if self.online > self.big_room {
            match event {
                Ephemeral::Presence { .. } => self.summary.presence = true,
                Ephemeral::Typing { .. } => self.summary.typing = Some(json),
                Ephemeral::Read { .. } => self.summary.read = Some(json),
            }
            return false;
        }
        let author = match event {
            Ephemeral::Typing { user, .. } => Some(user.id),
            Ephemeral::Presence { joined, .. } => joined.as_ref().map(|person| person.id),
            // The user's other devices need their own read mark.
            Ephemeral::Read { .. } => None,
        };
        self.waiting.push((author, Encoded::text(&json)));
        self.waiting.len() >= BATCH_EVENTS || self.delivered_at.elapsed() >= BATCH_INTERVAL
    }

    /// Whether there is a summary to be delivered.
    pub(super) const fn has_summary(&self) -> bool {
        self.summary.presence || self.summary.typing.is_some() || self.summary.read.is_some()
    }

    /// Adds the summary of the `room` to the events that wait: how many people are there, and the latest typing and read events.
    pub(super) fn add_summary(&mut self, room: Uuid) {
        let Summary { presence, typing, read } = std::mem::take(&mut self.summary);
        let presence = presence.then(|| {
            let event = Ephemeral::Presence { room, online: self.online, joined: None, left: None };
            // Numbers and ids can always be encoded.
            Arc::from(serde_json::to_string(&event).unwrap_or_default())
        });
        let events = [presence, typing, read].into_iter().flatten();
        self.waiting.extend(events.map(|json: Arc<str>| (None, Encoded::text(&json))));
    }

    /// Takes the events that wait, to be delivered now.
    pub(super) fn take(&mut self) -> EphemeralBatch {
        let batch = EphemeralBatch { events: std::mem::take(&mut self.waiting), first: self.delivered };
        if !batch.events.is_empty() {
            self.delivered += batch.events.len() as u64;
            self.delivered_at = Instant::now();
        }
        batch
    }
}

impl EphemeralBatch {
    /// Delivers to a subscriber the events that came after it joined, except those that its own user caused.
    pub(super) fn deliver_to(&self, subscriber: &Subscriber) {
        if self.events.is_empty() {
            return;
        }
        let newer = (self.first..).zip(&self.events).filter(|(number, _)| *number >= subscriber.first_event());
        let others = newer.filter(|(_, (author, _))| *author != Some(subscriber.user));
        subscriber.deliver_ephemeral(others.map(|(_, (_, frame))| frame.clone()));
    }
}
