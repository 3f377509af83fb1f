//! A connection's place in a room, shared by the session and the room.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use common::{membership::Membership, time::Timestamp, wire::Role};
use uuid::Uuid;

use crate::{queue::Queue, socket::Encoded};

/// A connection's place in a room. What the room's log says of the user changes it, and commands are judged by it without
/// asking the database.
#[derive(Debug)]
pub struct Seat {
    /// The connection.
    pub connection: Uuid,
    /// Its user.
    pub user: Uuid,
    queue: Arc<Queue>,
    /// Entries up to this one came with `joined`.
    after: AtomicU64,
    /// The first mention that came after the seat was taken.
    hears_from: AtomicU64,
    host: AtomicBool,
    gone: AtomicBool,
    read_only_from: AtomicI64,
}

impl Seat {
    /// A seat for entries after `after`.
    pub fn new(connection: Uuid, user: Uuid, queue: Arc<Queue>, after: u64, membership: Membership) -> Self {
        Self {
            connection,
            user,
            queue,
            after: AtomicU64::new(after),
            hears_from: AtomicU64::new(0),
            host: AtomicBool::new(membership.role == Role::Host),
            gone: AtomicBool::new(false),
            read_only_from: AtomicI64::new(membership.read_only_from.millis()),
        }
    }

    /// Delivers frames of entries, but those that came with `joined`. Returns how many were queued.
    pub fn deliver(&self, frames: &[(u64, Encoded)]) -> usize {
        let after = self.after.load(Ordering::Relaxed);
        self.queue.push_all(frames.iter().filter(|(seq, _)| *seq > after).map(|(_, frame)| frame.clone()))
    }

    /// The log began anew: numbers count from the fresh page on.
    pub fn restart(&self) {
        self.after.store(0, Ordering::Relaxed);
    }

    /// Sends a frame that is no entry.
    pub fn tell(&self, frame: Encoded) {
        self.queue.push(frame);
    }

    /// Whether a mention came after the seat was taken.
    pub fn hears(&self, mention: u64) -> bool {
        mention >= self.hears_from.load(Ordering::Relaxed)
    }

    /// The seat is taken, after the mentions before this one.
    pub fn hear_from(&self, mention: u64) {
        self.hears_from.store(mention, Ordering::Relaxed);
    }

    /// Sends frames that may be missed.
    pub fn mention(&self, frames: impl Iterator<Item = Encoded>) {
        self.queue.push_if_idle(frames);
    }

    /// What the user may do.
    pub fn role(&self) -> Role {
        if self.host.load(Ordering::Relaxed) { Role::Host } else { Role::Member }
    }

    /// The meetup has a new host.
    pub fn set_host(&self, host: Uuid) {
        self.host.store(self.user == host, Ordering::Relaxed);
    }

    /// The user left the meetup or was removed from it.
    pub fn vacate(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether the user is no member any more.
    pub fn is_vacated(&self) -> bool {
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
