//! Presence, read marks and the number of a user's connections, shared by all processes.
//!
//! Each process refreshes the entries of its own connections; those of a process that crashed expire.

use std::{collections::HashMap, sync::Arc, time::Duration};

use dashmap::DashMap;
use futures_util::{StreamExt, stream};
use tokio::{sync::RwLock, time::MissedTickBehavior};
use uuid::Uuid;
use wire::Person;

use super::{
    Inner,
    client::{Command, FromReply},
    keys,
};
use crate::rooms::{CONNECTION_TTL, Entered, Health, PRESENCE_TTL, Presence, RoomError, decode, encode, seats::Seats};

/// Refreshes of presence; together with [`PRESENCE_TTL`] it bounds how long a crashed process's people are seen.
const REFRESH_PRESENCE: Duration = Duration::from_secs(4);
/// Refreshes of the count of connections.
const REFRESH_CONNECTIONS: Duration = Duration::from_secs(20);
/// Seats refreshed by one command, at most.
const SEATS: usize = 500;
/// Refreshing commands under way at a time.
const AT_ONCE: usize = 32;

/// The connections of this process that are entered in Redis.
#[derive(Default)]
pub(super) struct Registry {
    seats: Seats,
    /// The user of each connection.
    connections: DashMap<Uuid, Uuid>,
    /// A refresh must not bring back whoever leaves meanwhile.
    refreshing: RwLock<()>,
}

impl Inner {
    pub(super) async fn enter(&self, room: Uuid, person: &Person, connection: Uuid) -> Result<Entered, RoomError> {
        // Known first: from now on a refresh would restore it.
        self.registry.seats.enter(room, person, connection);
        let entered = self.tell_enter(room, person, connection).await;
        if entered.is_err() {
            self.registry.seats.exit(room, person.id, connection);
        }
        entered
    }

    async fn tell_enter(&self, room: Uuid, person: &Person, connection: Uuid) -> Result<Entered, RoomError> {
        let args = vec![person.id.to_string(), connection.to_string(), encode(person)?];
        // By itself: while a slot is being moved, a script must not name a key that a room need not have.
        let ((online, ()), read_seq) =
            tokio::try_join!(self.presence_script(room, "enter", args), self.read_mark(room, person.id))?;
        Ok(Entered { online, read_seq })
    }

    /// Up to where a person has read; 0 if never.
    pub(super) async fn read_mark(&self, room: Uuid, user: Uuid) -> Result<u64, RoomError> {
        let command = Command::new("HGET", &keys::reads(room)).arg(user.to_string());
        Ok(self.redis.run::<Option<u64>>(command).await?.unwrap_or(0))
    }

    pub(super) async fn exit(&self, room: Uuid, user: Uuid, connection: Uuid) -> Result<(), RoomError> {
        let _turn = self.registry.refreshing.read().await;
        self.registry.seats.exit(room, user, connection);
        let (_, _): (u64, u64) =
            self.presence_script(room, "exit", vec![user.to_string(), connection.to_string()]).await?;
        Ok(())
    }

    pub(super) async fn presence(&self, room: Uuid, limit: usize) -> Result<Presence, RoomError> {
        let (online, people): (u64, Vec<String>) = self.presence_script(room, "look", vec![limit.to_string()]).await?;
        Ok(Presence { online, people: people.iter().map(|json| decode(json)).collect::<Result<_, _>>()? })
    }

    async fn presence_script<T: FromReply>(
        &self,
        room: Uuid,
        what: &str,
        rest: Vec<String>,
    ) -> Result<(u64, T), RoomError> {
        let ttl = PRESENCE_TTL.as_millis().to_string();
        let mut args = vec![what.to_owned(), ttl, keys::channel(room), room.to_string()];
        args.extend(rest);
        let keys = [keys::seats(room), keys::present(room)];
        self.redis.eval(&self.redis.scripts.presence, &keys, &args).await
    }

    /// Refreshes the presence of this process's connections, every few seconds.
    pub(super) async fn refresh_presence(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(REFRESH_PRESENCE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let rooms = stream::iter(self.registry.seats.rooms());
            let refresh = async |room: Uuid| {
                if let Err(error) = self.refresh_room(room).await {
                    tracing::debug!(%error, %room, "presence was not refreshed");
                }
            };
            rooms.for_each_concurrent(AT_ONCE, refresh).await;
        }
    }

    async fn refresh_room(&self, room: Uuid) -> Result<(), RoomError> {
        let _turn = self.registry.refreshing.write().await;
        let people: HashMap<String, (Person, Uuid)> = self
            .registry
            .seats
            .connections(room)
            .into_iter()
            .map(|(person, connection)| (format!("{}:{connection}", person.id), (person, connection)))
            .collect();
        let seats: Vec<String> = people.keys().cloned().collect();
        for chunk in seats.chunks(SEATS) {
            let (_, expired): (u64, Vec<String>) = self.presence_script(room, "refresh", chunk.to_vec()).await?;
            for (person, connection) in expired.iter().filter_map(|seat| people.get(seat)) {
                self.tell_enter(room, person, *connection).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn mark_read(&self, room: Uuid, person: &Person, seq: u64) -> Result<u64, RoomError> {
        let args = [person.id.to_string(), seq.to_string(), keys::channel(room), room.to_string(), encode(person)?];
        self.redis.eval(&self.redis.scripts.mark, &[keys::reads(room), keys::meta(room)], &args).await
    }

    pub(super) async fn admit(&self, user: Uuid, connection: Uuid, limit: u32) -> Result<bool, RoomError> {
        let admitted = match self.count(user, connection, limit.into()).await {
            // The part of a Cluster that counts this user's connections is gone, and their rooms may well not be.
            Err(RoomError::Unavailable(_)) if matches!(self.live.health(), Health::Degraded(_)) => {
                let here = self.registry.connections.iter().filter(|entry| *entry.value() == user).count();
                here < limit as usize
            }
            outcome => outcome?,
        };
        if admitted {
            self.registry.connections.insert(connection, user);
        }
        Ok(admitted)
    }

    async fn count(&self, user: Uuid, connection: Uuid, limit: i64) -> Result<bool, RoomError> {
        let args = [connection.to_string(), limit.to_string(), CONNECTION_TTL.as_millis().to_string()];
        self.redis.eval(&self.redis.scripts.admit, &[keys::connections(user)], &args).await
    }

    pub(super) async fn dismiss(&self, user: Uuid, connection: Uuid) -> Result<(), RoomError> {
        self.registry.connections.remove(&connection);
        self.redis.run(Command::new("ZREM", &keys::connections(user)).arg(connection.to_string())).await
    }

    /// Refreshes the count of this process's connections, every few seconds.
    pub(super) async fn refresh_connections(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(REFRESH_CONNECTIONS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let connections: Vec<_> =
                self.registry.connections.iter().map(|entry| (*entry.key(), *entry.value())).collect();
            let refresh = async |(connection, user)| {
                if let Err(error) = self.refresh_connection(user, connection).await {
                    tracing::debug!(%error, "a connection was not counted again");
                }
            };
            stream::iter(connections).for_each_concurrent(AT_ONCE, refresh).await;
        }
    }

    async fn refresh_connection(&self, user: Uuid, connection: Uuid) -> Result<(), RoomError> {
        self.count(user, connection, -1).await?;
        if self.registry.connections.contains_key(&connection) {
            return Ok(());
        }
        // It was dismissed meanwhile.
        self.dismiss(user, connection).await
    }
}
