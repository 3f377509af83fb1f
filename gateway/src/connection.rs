//! State of one authenticated connection: its user, its token, its outbound queue and the rooms it has joined.
//!
//! It has no behaviour of its own: `commands` changes it, one command at a time, and `session` reads it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use common::{time::Timestamp, tokens::Access};
use uuid::Uuid;
use wire::Person;

use crate::{
    room::{Room, subscriber::Subscriber},
    transport::queue::Queue,
};

/// A room that a connection has joined, and its subscriber there.
type Joined = (Arc<Room>, Arc<Subscriber>);

/// State of one authenticated connection. It is shared by its session, its commands and the registry.
pub struct Connection {
    /// Its id, which `welcome` tells the client.
    pub id: Uuid,
    /// Its user.
    pub person: Person,
    /// Its outbound queue.
    pub queue: Arc<Queue>,
    /// What its token grants; `refresh` replaces it by a newer one of the same user.
    access: Mutex<Access>,
    rooms: Mutex<HashMap<Uuid, Joined>>,
}

impl Connection {
    /// A connection that has joined no room.
    pub fn new(id: Uuid, person: Person, access: Access, queue: Arc<Queue>) -> Self {
        Self { id, person, queue, access: Mutex::new(access), rooms: Mutex::default() }
    }

    /// The log-in session of its token.
    pub fn session(&self) -> Uuid {
        lock(&self.access).session
    }

    /// When its token expires.
    pub fn token_expires_at(&self) -> Timestamp {
        lock(&self.access).expires_at
    }

    /// How long its token is still valid; zero once it has expired.
    pub fn token_left(&self, now: Timestamp) -> Duration {
        self.token_expires_at().since(now)
    }

    /// Replaces its token's access.
    pub fn set_access(&self, access: Access) {
        *lock(&self.access) = access;
    }

    /// Its subscriber in a room, if it has joined that room: perhaps one that has ended since.
    pub fn subscriber(&self, room: Uuid) -> Option<Arc<Subscriber>> {
        lock(&self.rooms).get(&room).map(|(_, subscriber)| Arc::clone(subscriber))
    }

    /// Whether it may join a room: it has joined it already, or fewer than `max` others. Rooms whose subscriber has ended do not
    /// count.
    pub fn may_join(&self, room: Uuid, max: usize) -> bool {
        let mut rooms = lock(&self.rooms);
        rooms.retain(|_, (_, subscriber)| !subscriber.has_ended());
        rooms.contains_key(&room) || rooms.len() < max
    }

    /// Adds a room that it has joined, in place of an earlier join of the same room.
    pub fn add_room(&self, room: Arc<Room>, subscriber: Arc<Subscriber>) {
        lock(&self.rooms).insert(room.id, (room, subscriber));
    }

    /// Removes a room, and returns it if it had been joined.
    pub fn remove_room(&self, room: Uuid) -> Option<Arc<Room>> {
        lock(&self.rooms).remove(&room).map(|(room, _)| room)
    }

    /// Removes and returns all rooms.
    pub fn remove_rooms(&self) -> Vec<Arc<Room>> {
        lock(&self.rooms).drain().map(|(_, (room, _))| room).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
