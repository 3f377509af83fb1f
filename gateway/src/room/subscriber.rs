//! A connection's place in a room, shared by the session and the room.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use common::{membership::Membership, time::Timestamp};
use uuid::Uuid;
use wire::Role;

use crate::transport::{encoded::Encoded, queue::Queue};

/// A connection's place in a room. What the room's log says of the user changes it, and commands are judged by it without
/// asking the database.
#[derive(Debug)]
pub struct Subscriber {
    /// The connection.
    pub connection: Uuid,
    /// Its user.
    pub user: Uuid,
    queue: Arc<Queue>,
    /// Entries up to this one came with `joined`.
    after: AtomicU64,
    /// The first mention that came after the seat was taken.
    ephemeral_from: AtomicU64,
    host: AtomicBool,
    gone: AtomicBool,
    read_only_from: AtomicI64,
}

impl Subscriber {
    /// A seat for entries after `after`.
    pub fn new(connection: Uuid, user: Uuid, queue: Arc<Queue>, after: u64, membership: Membership) -> Self {
        Self {
            connection,
            user,
            queue,
            after: AtomicU64::new(after),
            ephemeral_from: AtomicU64::new(0),
            host: AtomicBool::new(membership.role == Role::Host),
            gone: AtomicBool::new(false),
            read_only_from: AtomicI64::new(membership.read_only_from.millis()),
        }
    }

    /// Delivers frames of entries, but those that came with `joined`. Returns how many.
    pub fn deliver_entries(&self, frames: &[(u64, Encoded)]) -> usize {
        let after = self.after();
        let heard = frames.iter().filter(|(seq, _)| *seq > after).map(|(_, frame)| frame.clone());
        self.queue.push(self.while_subscribed(heard))
    }

    /// `frames`, or none from the moment the seat is given up: asked while the queue is locked, so that nothing comes after the
    /// reply that says so.
    fn while_subscribed(&self, frames: impl Iterator<Item = Encoded>) -> impl Iterator<Item = Encoded> {
        frames.take_while(|_| !self.has_ended())
    }

    /// The last entry that the connection has not been delivered from its seat: it came with `joined`.
    pub fn after(&self) -> u64 {
        self.after.load(Ordering::Relaxed)
    }

    /// The log began anew: numbers count from the fresh page on.
    pub fn restart(&self) {
        self.after.store(0, Ordering::Relaxed);
    }

    /// Whether much waits to be read by the connection.
    pub fn is_behind(&self) -> bool {
        self.queue.is_half_full()
    }

    /// Pushes a `joined` frame, which comes before anything else of the room.
    pub fn push_joined(&self, joined: Encoded) {
        self.queue.reply(joined);
    }

    /// Whether a mention came after the seat was taken.
    pub fn receives_ephemeral(&self, mention: u64) -> bool {
        mention >= self.ephemeral_from.load(Ordering::Relaxed)
    }

    /// The seat is taken, after the mentions before this one.
    pub fn receive_ephemeral_from(&self, mention: u64) {
        self.ephemeral_from.store(mention, Ordering::Relaxed);
    }

    /// Sends frames that may be missed.
    pub fn deliver_ephemeral(&self, frames: impl Iterator<Item = Encoded>) {
        self.queue.push_if_idle(self.while_subscribed(frames));
    }

    /// What the user may do.
    pub fn role(&self) -> Role {
        if self.host.load(Ordering::Relaxed) { Role::Host } else { Role::Member }
    }

    /// The meetup has a new host.
    pub fn set_host(&self, host: Uuid) {
        self.host.store(self.user == host, Ordering::Relaxed);
    }

    /// The seat is given up: the connection left the room, or the user the meetup.
    pub fn end(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether the seat is given up.
    pub fn has_ended(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// The room takes no more messages.
    pub fn set_read_only(&self) {
        self.read_only_from.store(i64::MIN, Ordering::Relaxed);
    }

    /// The meetup ends when the database says so; a room that was closed stays closed.
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
