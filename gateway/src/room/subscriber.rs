//! Subscriber: one connection's subscription to a room, shared by the room and the connection.
//!
//! The room keeps its role and its end up to date from the log, so that commands are authorised without a look-up in the
//! database. Once it has ended, nothing more is delivered through it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use common::{membership::Membership, time::Timestamp};
use uuid::Uuid;
use wire::Role;

use crate::transport::{encoded::Encoded, queue::Queue};

/// One connection's subscription to a room.
#[derive(Debug)]
pub struct Subscriber {
    /// The connection.
    pub connection: Uuid,
    /// Its user.
    pub user: Uuid,
    queue: Arc<Queue>,
    /// Entries up to this one came with `joined`.
    joined_seq: AtomicU64,
    /// The number of the first ephemeral event after `joined`.
    first_event: AtomicU64,
    host: AtomicBool,
    ended: AtomicBool,
    /// From when the room takes no more messages, in Unix milliseconds; `i64::MIN` once it is closed for good.
    read_only_from: AtomicI64,
}

impl Subscriber {
    /// A subscriber whose `joined` brings the entries up to `joined_seq`.
    pub fn new(connection: Uuid, user: Uuid, queue: Arc<Queue>, joined_seq: u64, membership: Membership) -> Self {
        Self {
            connection,
            user,
            queue,
            joined_seq: AtomicU64::new(joined_seq),
            first_event: AtomicU64::new(0),
            host: AtomicBool::new(membership.role == Role::Host),
            ended: AtomicBool::new(false),
            read_only_from: AtomicI64::new(membership.read_only_from.millis()),
        }
    }

    /// Pushes a `joined` frame, which comes before anything else of the room. It is not counted towards the queue's limits.
    pub fn push_joined(&self, joined: Encoded) {
        self.queue.reply(joined);
    }

    /// Pushes the frames of entries, except those that came with `joined`. Returns how many.
    pub fn deliver_entries(&self, frames: &[(u64, Encoded)]) -> usize {
        let joined_seq = self.joined_seq();
        let newer = frames.iter().filter(|(seq, _)| *seq > joined_seq).map(|(_, frame)| frame.clone());
        self.queue.push(self.while_subscribed(newer))
    }

    /// Pushes the frames of ephemeral events, unless the connection reads slowly.
    pub fn deliver_ephemeral(&self, frames: impl Iterator<Item = Encoded>) {
        self.queue.push_best_effort(self.while_subscribed(frames));
    }

    /// `frames`, or none from the moment the subscriber has ended: asked while the queue is locked, so that nothing comes after
    /// the reply to `leave`.
    fn while_subscribed(&self, frames: impl Iterator<Item = Encoded>) -> impl Iterator<Item = Encoded> {
        frames.take_while(|_| !self.has_ended())
    }

    /// The last entry that came with `joined`.
    pub fn joined_seq(&self) -> u64 {
        self.joined_seq.load(Ordering::Relaxed)
    }

    /// Delivers all entries from now on: the log began anew, and a fresh `joined` frame was pushed.
    pub fn reset_joined_seq(&self) {
        self.joined_seq.store(0, Ordering::Relaxed);
    }

    /// The number of the first ephemeral event after `joined`.
    pub fn first_event(&self) -> u64 {
        self.first_event.load(Ordering::Relaxed)
    }

    /// Sets the number of the first ephemeral event after `joined`.
    pub fn set_first_event(&self, number: u64) {
        self.first_event.store(number, Ordering::Relaxed);
    }

    /// Whether the connection's queue is half full.
    pub fn is_behind(&self) -> bool {
        self.queue.is_half_full()
    }

    /// The user's role.
    pub fn role(&self) -> Role {
        if self.host.load(Ordering::Relaxed) { Role::Host } else { Role::Member }
    }

    /// The meetup's host is `host` from now on.
    pub fn set_host(&self, host: Uuid) {
        self.host.store(self.user == host, Ordering::Relaxed);
    }

    /// Ends the subscription: the connection left the room, or the user the meetup.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The room takes no more messages, for good.
    pub fn set_read_only(&self) {
        self.read_only_from.store(i64::MIN, Ordering::Relaxed);
    }

    /// The meetup ends when its membership says; a room that was closed stays closed.
    pub fn set_end(&self, membership: Membership) {
        let end = membership.read_only_from.millis();
        let later = |from| (from != i64::MIN).then_some(end);
        _ = self.read_only_from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// Whether the room takes messages.
    pub fn may_write(&self, now: Timestamp) -> bool {
        now.millis() < self.read_only_from.load(Ordering::Relaxed)
    }
}
