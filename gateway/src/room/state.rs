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
    /// The room has delivered an entry after the page that may change what the user may do; read on and ask for the membership
    /// again.
    MembershipChanged,
}

/// Whether an entry may change what `user` may do: a membership that was read before it proves nothing after it.
fn changes_membership(kind: EntryKind, user: Uuid) -> bool {
    match kind {
        EntryKind::Member { change: Change::Host, .. } | EntryKind::Closed => true,
        EntryKind::Member { user: of, change: Change::Left | Change::Removed } => of == user,
        _ => false,
    }
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

    /// Adds a subscriber of a connection of `user` that has everything up to `have`: see `Room::subscribe`.
    pub(super) fn subscribe(
        &mut self,
        user: Uuid,
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
        // The membership was read after the page: it is as new as the page, and not as new as these entries.
        if missed.iter().any(|entry| changes_membership(entry.kind(), user)) {
            return Err(SubscribeError::MembershipChanged);
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

#[cfg(test)]
mod tests {
    use common::{membership::Membership, time::Timestamp};
    use tokio::net::TcpStream;
    use wire::{Person, Role};

    use super::*;
    use crate::transport::queue::{Queue, tests::connected};

    const EPOCH: Uuid = Uuid::from_u128(1);
    const HOST: Uuid = Uuid::from_u128(2);
    const MEMBER: Uuid = Uuid::from_u128(3);

    const fn at(seq: u64) -> Position {
        Position { epoch: EPOCH, seq }
    }

    fn message(seq: u64) -> RawEntry {
        RawEntry::appended(seq, "{}", EntryKind::Message)
    }

    fn member(seq: u64, user: Uuid, change: Change) -> RawEntry {
        RawEntry::appended(seq, "{}", EntryKind::Member { user, change })
    }

    /// A queue with room for everything, and the other side of its socket.
    async fn queue() -> (Arc<Queue>, TcpStream) {
        let (queue, other) = connected(10_000, 10_000_000).await;
        (Arc::new(queue), other)
    }

    /// Subscribes a connection of `user` that has everything up to `have`. Returns what `joined` adds.
    fn subscribe(
        state: &mut State,
        queue: &Arc<Queue>,
        (connection, user): (u128, Uuid),
        have: Position,
    ) -> Result<(Arc<Subscriber>, Vec<u64>), SubscribeError> {
        let role = if user == HOST { Role::Host } else { Role::Member };
        let membership = Membership { role, read_only_from: Timestamp(i64::MAX) };
        let mut added = Vec::new();
        let subscriber = state.subscribe(
            user,
            have,
            |seq| Subscriber::new(Uuid::from_u128(connection), user, Arc::clone(queue), seq, membership),
            |_, missed| {
                added = missed.iter().map(|entry| entry.seq).collect();
                Encoded::text("joined")
            },
        )?;
        Ok((subscriber, added))
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_next_entry_of_the_epoch_is_accepted() {
        let mut state = State::new(at(7), 100);
        for (epoch, seq, expected) in [
            (EPOCH, 7, Accepted::Known),
            (EPOCH, 9, Accepted::Gap),
            (Uuid::nil(), 8, Accepted::Gap),
            (EPOCH, 8, Accepted::Batched { due: false }),
            (EPOCH, 8, Accepted::Known),
            (EPOCH, 9, Accepted::Batched { due: false }),
        ] {
            assert_eq!(state.accept(epoch, message(seq)), expected, "{epoch} {seq}");
        }
        let numbers: Vec<u64> = state.take_batch().entries.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(numbers, [8, 9]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_membership_older_than_an_entry_that_may_change_it_is_not_accepted() {
        let (queue, _other) = queue().await;
        let closed = |seq| RawEntry::appended(seq, "{}", EntryKind::Closed);
        for (name, entry, accepted) in [
            ("own removal", member(6, MEMBER, Change::Removed), false),
            ("own departure", member(6, MEMBER, Change::Left), false),
            ("another's removal", member(6, HOST, Change::Removed), true),
            ("own return", member(6, MEMBER, Change::Joined), true),
            ("own promotion", member(6, MEMBER, Change::Host), false),
            ("another's promotion", member(6, HOST, Change::Host), false),
            ("the end", closed(6), false),
            ("a message", message(6), true),
        ] {
            let mut state = State::new(at(4), 100);
            state.accept(EPOCH, message(5));
            state.accept(EPOCH, entry);
            state.accept(EPOCH, message(7));
            let outcome = subscribe(&mut state, &queue, (1, MEMBER), at(5)).map(|(_, added)| added);
            let expected = if accepted { Ok(vec![6, 7]) } else { Err(SubscribeError::MembershipChanged) };
            assert_eq!(outcome, expected, "{name}");
            // A membership that was read after the entry is as new as the position.
            assert!(subscribe(&mut state, &queue, (1, MEMBER), at(7)).is_ok(), "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_batched_for_an_interval_and_other_entries_are_due_at_once() {
        let mut state = State::new(at(0), 100);
        let full = BATCH_ENTRIES as u64;
        assert_eq!(state.deadlines().entries, None);
        for seq in 1..full {
            assert_eq!(state.accept(EPOCH, message(seq)), Accepted::Batched { due: false }, "{seq}");
        }
        assert_eq!(state.deadlines().entries, Some(Instant::now() + BATCH_INTERVAL));
        assert_eq!(state.accept(EPOCH, message(full)), Accepted::Batched { due: true }, "the batch is full");
        assert_eq!(state.take_batch().entries.len(), BATCH_ENTRIES);
        assert_eq!(state.accept(EPOCH, message(full + 1)), Accepted::Batched { due: false });
        tokio::time::advance(BATCH_INTERVAL).await;
        assert_eq!(state.accept(EPOCH, message(full + 2)), Accepted::Batched { due: true }, "the last was long ago");
        state.take_batch();
        let closed = RawEntry::appended(full + 3, "{}", EntryKind::Closed);
        assert_eq!(state.accept(EPOCH, closed), Accepted::Batched { due: true });
    }

    #[tokio::test]
    async fn joined_adds_what_the_room_has_delivered_since_the_page() {
        let (queue, _other) = queue().await;
        let mut state = State::new(at(10), 100);
        let many = 10 + RECENT_ENTRIES as u64 + 5;
        for seq in 11..=many {
            state.accept(EPOCH, message(seq));
        }
        let kept = many - RECENT_ENTRIES as u64;
        for (have, expected) in [
            (at(many), Ok((many, vec![]))),
            (at(many - 2), Ok((many, vec![many - 1, many]))),
            (at(kept), Ok((many, (kept + 1..=many).collect()))),
            (at(kept - 1), Err(SubscribeError::Behind)),
            (at(many + 3), Ok((many + 3, vec![]))),
            (Position { epoch: Uuid::nil(), seq: many }, Err(SubscribeError::OtherEpoch)),
        ] {
            let joined = subscribe(&mut state, &queue, (1, MEMBER), have);
            let joined = joined.map(|(subscriber, added)| (subscriber.joined_seq(), added));
            assert_eq!(joined, expected, "{have:?}");
        }
    }

    #[tokio::test]
    async fn recent_entries_are_bounded_in_bytes_and_void_after_a_restart() {
        let (queue, _other) = queue().await;
        let mut state = State::new(at(0), 100);
        let large = "x".repeat(RECENT_BYTES / 2);
        for seq in 1..=3 {
            state.accept(EPOCH, RawEntry::appended(seq, large.as_str(), EntryKind::Message));
        }
        assert_eq!(subscribe(&mut state, &queue, (1, MEMBER), at(0)).err(), Some(SubscribeError::Behind));
        assert_eq!(subscribe(&mut state, &queue, (1, MEMBER), at(1)).map(|(_, added)| added), Ok(vec![2, 3]));
        state.restart(at(3));
        assert_eq!(state.take_batch().entries.len(), 0);
        assert_eq!(subscribe(&mut state, &queue, (1, MEMBER), at(2)).err(), Some(SubscribeError::Behind));
    }

    #[tokio::test]
    async fn a_change_of_host_and_a_close_apply_before_delivery() {
        let (queue, _other) = queue().await;
        let mut state = State::new(at(0), 100);
        let (host, _) = subscribe(&mut state, &queue, (1, HOST), at(0)).expect("subscribed");
        let (other, _) = subscribe(&mut state, &queue, (2, MEMBER), at(0)).expect("subscribed");
        // Joined with the first entry, with a role that is newer than it.
        let (ahead, _) = subscribe(&mut state, &queue, (3, HOST), at(1)).expect("subscribed");
        state.accept(EPOCH, member(1, MEMBER, Change::Host));
        assert_eq!([&host, &other, &ahead].map(|s| s.role()), [Role::Member, Role::Host, Role::Host]);
        assert!(host.may_write(Timestamp(0)));
        state.accept(EPOCH, RawEntry::appended(2, "{}", EntryKind::Closed));
        assert!([&host, &other, &ahead].iter().all(|subscriber| !subscriber.may_write(Timestamp(0))));
    }

    #[tokio::test]
    async fn the_end_of_a_membership_ends_the_users_earlier_subscribers() {
        let (queue, _other) = queue().await;
        let mut state = State::new(at(0), 100);
        let (left, _) = subscribe(&mut state, &queue, (1, MEMBER), at(0)).expect("subscribed");
        let (stays, _) = subscribe(&mut state, &queue, (2, HOST), at(0)).expect("subscribed");
        let (came_back, _) = subscribe(&mut state, &queue, (3, MEMBER), at(1)).expect("subscribed");
        let ended = state.end_membership(MEMBER, 1);
        assert_eq!(ended.iter().map(|subscriber| subscriber.connection.as_u128()).collect::<Vec<_>>(), [1]);
        assert_eq!([&left, &stays, &came_back].map(|s| s.has_ended()), [true, false, false]);
        assert_eq!(state.subscribers.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_room_closes_after_a_while_and_takes_no_subscriber_then() {
        let (queue, _other) = queue().await;
        let mut state = State::new(at(0), 100);
        assert_eq!(state.deadlines().close, Some(Instant::now() + LINGER));
        let (first, _) = subscribe(&mut state, &queue, (1, MEMBER), at(0)).expect("subscribed");
        assert_eq!(state.deadlines().close, None);
        let (again, _) = subscribe(&mut state, &queue, (1, MEMBER), at(0)).expect("subscribed");
        assert_eq!((first.has_ended(), again.has_ended(), state.subscribers.len()), (true, false, 1));
        assert!(!state.unsubscribe(Uuid::from_u128(9)), "another connection");
        assert!(!state.close_if_empty());
        assert!(state.unsubscribe(Uuid::from_u128(1)));
        assert_eq!((again.has_ended(), state.deadlines().close), (true, Some(Instant::now() + LINGER)));
        assert!(state.close_if_empty());
        assert_eq!(subscribe(&mut state, &queue, (1, MEMBER), at(0)).err(), Some(SubscribeError::Closed));
        // The end of a membership empties a room as well.
        let mut state = State::new(at(0), 100);
        subscribe(&mut state, &queue, (1, MEMBER), at(0)).expect("subscribed");
        state.end_membership(MEMBER, 1);
        assert_eq!(state.deadlines().close, Some(Instant::now() + LINGER));
    }

    #[tokio::test]
    async fn a_subscriber_gets_ephemeral_events_from_its_joined_frame_on() {
        let (queue, _other) = queue().await;
        let mut state = State::new(at(0), 100);
        let user = Person { id: HOST, nickname: "밍기".into() };
        for expected in 0..3 {
            let (subscriber, _) = subscribe(&mut state, &queue, (1, MEMBER), at(0)).expect("subscribed");
            assert_eq!(subscriber.first_event(), expected);
            state.ephemeral.add(&wire::Ephemeral::Typing { room: EPOCH, user: user.clone() }, "{}".into());
        }
    }
}
