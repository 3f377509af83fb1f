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

#[cfg(test)]
mod tests {
    use common::{membership::Membership, time::Timestamp};
    use tokio::io::AsyncReadExt;
    use wire::{Person, Role};

    use super::*;
    use crate::transport::queue::tests::connected;

    const ROOM: Uuid = Uuid::from_u128(1);

    fn person(id: u128) -> Person {
        Person { id: Uuid::from_u128(id), nickname: "밍기".into() }
    }

    fn typing(id: u128) -> Ephemeral {
        Ephemeral::Typing { room: ROOM, user: person(id) }
    }

    fn presence(online: u64, joined: Option<u128>) -> Ephemeral {
        Ephemeral::Presence { room: ROOM, online, joined: joined.map(person), left: None }
    }

    fn read(id: u128) -> Ephemeral {
        Ephemeral::Read { room: ROOM, user: person(id), seq: 1 }
    }

    /// The texts that a subscriber of user 1 gets of a batch, when it joined before the event `first`.
    async fn received(batch: &EphemeralBatch, first: u64) -> Vec<u8> {
        let (queue, mut other) = connected(1_000, 1_000_000).await;
        let membership = Membership { role: Role::Member, read_only_from: Timestamp(0) };
        let subscriber = Subscriber::new(Uuid::nil(), person(1).id, Arc::new(queue), 0, membership);
        subscriber.set_first_event(first);
        batch.deliver_to(&subscriber);
        drop(subscriber);
        let mut bytes = Vec::new();
        other.read_to_end(&mut bytes).await.expect("everything");
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_batched_for_an_interval() {
        let mut buffer = EphemeralBuffer::new(100);
        assert_eq!((buffer.deadline(), buffer.next_number()), (None, 0));
        for number in 1..BATCH_EVENTS as u64 {
            assert!(!buffer.add(&typing(2), "{}".into()), "{number}");
            assert_eq!(buffer.next_number(), number);
        }
        assert_eq!(buffer.deadline(), Some(Instant::now() + BATCH_INTERVAL));
        assert!(buffer.add(&typing(2), "{}".into()), "the batch is full");
        assert_eq!(buffer.take().events.len(), BATCH_EVENTS);
        assert_eq!((buffer.deadline(), buffer.next_number()), (None, BATCH_EVENTS as u64));
        tokio::time::advance(BATCH_INTERVAL / 2).await;
        assert!(!buffer.add(&typing(2), "{}".into()));
        // Nothing to be delivered does not begin another interval.
        let mut idle = EphemeralBuffer::new(100);
        tokio::time::advance(BATCH_INTERVAL / 2).await;
        assert!(idle.take().events.is_empty());
        tokio::time::advance(BATCH_INTERVAL / 2).await;
        assert!(idle.add(&typing(2), "{}".into()), "the last batch was long ago");
    }

    #[tokio::test]
    async fn a_subscriber_gets_the_events_after_it_joined_that_others_caused() {
        let mut buffer = EphemeralBuffer::new(100);
        buffer.add(&typing(2), "a".into());
        buffer.take();
        let events = [
            (typing(2), "b"),
            (typing(1), "own typing"),
            (presence(2, Some(1)), "own presence"),
            (presence(2, Some(2)), "c"),
            (read(1), "d"),
        ];
        for (event, json) in &events {
            buffer.add(event, Arc::from(*json));
        }
        let batch = buffer.take();
        for (first, expected) in [
            (0, &b"\x81\x01b\x81\x01c\x81\x01d"[..]),
            (1, b"\x81\x01b\x81\x01c\x81\x01d"),
            (2, b"\x81\x01c\x81\x01d"),
            (5, b"\x81\x01d"),
            (6, b""),
        ] {
            assert_eq!(received(&batch, first).await, expected, "{first}");
        }
    }

    #[tokio::test]
    async fn a_big_room_gets_the_latest_event_of_each_kind() {
        let mut buffer = EphemeralBuffer::new(2);
        buffer.add(&presence(2, Some(2)), "not big yet".into());
        assert!(!buffer.has_summary());
        buffer.take();
        for (event, json) in [
            (presence(3, Some(3)), "3"),
            (typing(2), "t1"),
            (typing(3), "t2"),
            (read(2), "r"),
            (presence(4, Some(4)), "4"),
        ] {
            assert!(!buffer.add(&event, json.into()));
            assert!(buffer.has_summary());
        }
        assert_eq!((buffer.online(), buffer.deadline()), (4, None));
        buffer.add_summary(ROOM);
        assert!(!buffer.has_summary());
        let presence = format!(r#"{{"type":"presence","room":"{ROOM}","online":4}}"#);
        let expected = [presence.as_str(), "t2", "r"].map(|text| (None, Encoded::text(text)));
        assert_eq!(buffer.take().events, expected);
    }

    #[test]
    fn each_kind_alone_makes_a_summary() {
        for event in [presence(1, None), typing(2), read(2)] {
            let mut buffer = EphemeralBuffer::new(0);
            buffer.add(&presence(1, None), "{}".into());
            buffer.add_summary(ROOM);
            assert!(!buffer.has_summary());
            buffer.add(&event, "{}".into());
            assert!(buffer.has_summary(), "{event:?}");
        }
    }
}
