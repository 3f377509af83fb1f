//! What is said in a room in passing: who came and went, who writes, who has read. It is not in the log, and may be missed.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;
use wire::Ephemeral;

use super::subscriber::Subscriber;
use crate::transport::encoded::Encoded;

/// Events of one batch, at most.
const BATCH_EVENTS: usize = 64;

/// A room that has just heard gathers what is said within this time: when many come or go at once, each connection hears of
/// several together.
const GATHER: Duration = Duration::from_millis(250);

/// What was said in passing, and the user who need not hear it.
type Event = (Option<Uuid>, Encoded);

/// What waits to be handed out to the seats of a room.
pub(super) struct EphemeralBuffer {
    /// With more people than this a room hears summaries instead.
    big: u64,
    /// People in the room, on every gateway, as last heard.
    online: u64,
    waiting: Vec<Event>,
    /// How many were handed out before those, and when.
    handed_out: u64,
    at: Instant,
    summary: Summary,
}

/// The latest of what a big room would otherwise tell one by one.
#[derive(Default)]
struct Summary {
    presence: bool,
    typing: Option<Arc<str>>,
    read: Option<Arc<str>>,
}

/// What is handed out to every seat at once.
pub(super) struct EphemeralBatch {
    mentions: Vec<Event>,
    /// How many there were before these.
    before: u64,
}

impl EphemeralBuffer {
    pub(super) fn new(big: u64) -> Self {
        let (waiting, summary) = (Vec::new(), Summary::default());
        Self { big, online: 0, waiting, handed_out: 0, at: Instant::now(), summary }
    }

    /// People in the room, on every gateway, as last heard.
    pub(super) const fn online(&self) -> u64 {
        self.online
    }

    /// How many there have been. A seat that is taken now hears those after them.
    pub(super) const fn count(&self) -> u64 {
        self.handed_out + self.waiting.len() as u64
    }

    /// When those that wait are to be handed out, if any do.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.at + GATHER)
    }

    /// Adds one. Returns whether those that wait are due: nothing was said for a while, or too much was.
    pub(super) fn gather(&mut self, event: &Ephemeral, json: Arc<str>) -> bool {
        if let Ephemeral::Presence { online, .. } = event {
            self.online = *online;
        }
        if self.online > self.big {
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
            Ephemeral::Read { .. } => None,
        };
        self.waiting.push((author, Encoded::text(&json)));
        self.waiting.len() >= BATCH_EVENTS || self.at.elapsed() >= GATHER
    }

    /// Whether there is something that a big room was not told one by one.
    pub(super) const fn has_summary(&self) -> bool {
        self.summary.presence || self.summary.typing.is_some() || self.summary.read.is_some()
    }

    /// Adds what was summarised: how many are in the `room`, and the latest of who wrote and who read.
    pub(super) fn summarise(&mut self, room: Uuid) {
        let Summary { presence, typing, read } = std::mem::take(&mut self.summary);
        let presence = presence.then(|| {
            let event = Ephemeral::Presence { room, online: self.online, joined: None, left: None };
            // Made of numbers and ids: nothing that JSON could refuse.
            Arc::from(serde_json::to_string(&event).unwrap_or_default())
        });
        let told = [presence, typing, read].into_iter().flatten();
        self.waiting.extend(told.map(|json: Arc<str>| (None, Encoded::text(&json))));
    }

    /// Takes those that wait, to be handed out now.
    pub(super) fn take(&mut self) -> EphemeralBatch {
        let heard = EphemeralBatch { mentions: std::mem::take(&mut self.waiting), before: self.handed_out };
        if !heard.mentions.is_empty() {
            self.handed_out += heard.mentions.len() as u64;
            self.at = Instant::now();
        }
        heard
    }
}

impl EphemeralBatch {
    /// Sends a seat those that came after it was taken, but its own user's.
    pub(super) fn deliver_to(&self, subscriber: &Subscriber) {
        if self.mentions.is_empty() {
            return;
        }
        let heard = (self.before..).zip(&self.mentions).filter(|(number, _)| subscriber.receives_ephemeral(*number));
        let others = heard.filter(|(_, (author, _))| *author != Some(subscriber.user));
        subscriber.deliver_ephemeral(others.map(|(_, (_, frame))| frame.clone()));
    }
}
