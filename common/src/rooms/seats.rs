//! Index of this process's subscribers: the users of each room, each with their connections there.

use std::collections::HashMap;

use dashmap::DashMap;
use uuid::Uuid;

use super::Presence;
use wire::Person;

struct Seat {
    person: Person,
    connections: Vec<Uuid>,
}

/// The people of each room, each with the connections they have there.
#[derive(Default)]
pub(super) struct Seats(DashMap<Uuid, HashMap<Uuid, Seat>>);

impl Seats {
    /// Returns how many people are in the room and whether this one is new.
    pub(super) fn enter(&self, room: Uuid, person: &Person, connection: Uuid) -> (u64, bool) {
        let mut people = self.0.entry(room).or_default();
        let before = people.len();
        let seat = people
            .entry(person.id)
            .or_insert_with(|| Seat { person: person.clone(), connections: Vec::with_capacity(1) });
        if !seat.connections.contains(&connection) {
            seat.connections.push(connection);
        }
        (people.len() as u64, people.len() > before)
    }

    /// Returns how many people are left, and who has gone with their last connection.
    pub(super) fn exit(&self, room: Uuid, user: Uuid, connection: Uuid) -> Option<(u64, Person)> {
        let mut people = self.0.get_mut(&room)?;
        let seat = people.get_mut(&user)?;
        seat.connections.retain(|other| *other != connection);
        let gone = if seat.connections.is_empty() { people.remove(&user) } else { None };
        let online = people.len() as u64;
        drop(people);
        self.0.remove_if(&room, |_, people| people.is_empty());
        gone.map(|seat| (online, seat.person))
    }

    pub(super) fn presence(&self, room: Uuid, limit: usize) -> Presence {
        self.0.get(&room).map_or_else(Presence::default, |people| Presence {
            online: people.len() as u64,
            people: people.values().take(limit).map(|seat| seat.person.clone()).collect(),
        })
    }

    /// The rooms in which someone is.
    pub(super) fn rooms(&self) -> Vec<Uuid> {
        self.0.iter().map(|room| *room.key()).collect()
    }

    /// Everyone in a room, once for each connection.
    pub(super) fn connections(&self, room: Uuid) -> Vec<(Person, Uuid)> {
        self.0.get(&room).map_or_else(Vec::new, |people| {
            let seats = people.values();
            seats.flat_map(|seat| seat.connections.iter().map(|id| (seat.person.clone(), *id))).collect()
        })
    }
}
