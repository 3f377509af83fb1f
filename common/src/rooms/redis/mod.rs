//! The room log in Redis 7: a list and a hash for each room, one script an append, sharded pub/sub to every process.
//!
//! | key | type | what it holds |
//! | --- | --- | --- |
//! | `mz:{p}:<room>:log` | list | the latest entries as clients receive them; an entry's number is its place |
//! | `mz:{p}:<room>:meta` | hash | `epoch`, `head` (number of the latest entry), `changes` (how often entries were rewritten), `notice` (JSON), `closing` once it takes no more |
//! | `mz:{p}:<room>:nonces:<author>` | hash | nonce → `seq at noted`, the latest 256 at least; `noted` is Redis's clock, in seconds |
//! | `mz:{p}:<room>:people` | set | whom the entries are from or about |
//! | `mz:{p}:<room>:seats`, `:present` | sorted set, hash | connections by when they expire; people with how many they have |
//! | `mz:{p}:<room>:reads` | hash | user → up to where they have read |
//! | `mz:{user:<id>}:connections` | sorted set | connections of a user by when they expire |
//! | `mz:{p}:probe:<process>` | string, channel | a process's probe of a partition |
//! | `mz:{p}:<room>` | channel | `epoch entry` for each append, `~ event` for what is not in the log |
//! | `mz:{p}:sessions` | channel | users whose sessions have ended |
//!
//! `{p}` is the hash tag of one of 256 partitions: all keys and the channel of a room are in one slot of a Cluster, so
//! that the scripts work there as on a single server. Sharded pub/sub is used on both.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`client`] | Redis client: connections, redirections of a Cluster, replies |
//! | [`partitions`] | the 256 hash tags, and which rooms they have |
//! | [`keys`] | the names of keys and channels |
//! | [`connection`] | the client of a process, and the Lua scripts |
//! | [`log`] | append, read, edit, continued in the SQL archive |
//! | [`archiver`] | moves what is beyond the cap of a list to SQL; closes rooms for good |
//! | [`live`] | live stream: subscriptions, and probes that show that they are heard |
//! | [`presence`] | who is in a room, and how many connections a user has |

mod archiver;
mod client;
mod connection;
mod keys;
mod live;
mod log;
mod partitions;
mod presence;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;
use wire::{Ephemeral, Notice, Person, Position};

use self::{archiver::Archiver, client::Command, connection::Redis, live::Live, presence::Registry};
use super::{
    AppendError, Appended, Draft, Entered, Health, MAX_PAGE, Page, Presence, Range, RoomError, RoomStore,
    SessionChanges, Subscription, archive, decode,
};
use crate::{config::SecretUrl, db::Db, ids::IdSource, time::Timestamp};

/// How a process uses Redis.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// `redis://`, `rediss://`, `redis-cluster://` or `rediss-cluster://`.
    pub url: SecretUrl,
    /// Connections for commands.
    pub connections: usize,
    /// The longest that a command may take.
    pub timeout: Duration,
    /// Entries of one room that stay in Redis; older ones are moved to SQL.
    pub entries: usize,
}

/// See the module.
pub struct RedisRooms {
    inner: Arc<Inner>,
    /// Ends what runs beside the commands when the store is dropped.
    _stop: DropGuard,
}

struct Inner {
    redis: Redis,
    db: Db,
    ids: Arc<dyn IdSource>,
    live: Arc<Live>,
    registry: Registry,
    archiver: Archiver,
}

impl RedisRooms {
    /// Connects to Redis; `db` holds what leaves it.
    ///
    /// # Errors
    /// [`RoomError::Unavailable`] when Redis does not answer within 4 s or refuses the connection.
    pub async fn connect(settings: RedisSettings, db: Db, ids: Arc<dyn IdSource>) -> Result<Self, RoomError> {
        let redis = connection::connect(&settings).await?;
        let stop = CancellationToken::new();
        // Ends what was begun if this is given up half-way.
        let guard = stop.clone().drop_guard();
        let live = Live::start(Arc::clone(redis.client()), ids.next_id(), settings.timeout, stop.clone());
        live.begun().await?;
        let archiver = Archiver::new(settings.entries);
        let inner = Arc::new(Inner { redis, db, ids, live, registry: Registry::default(), archiver });
        inner.spawn(&stop);
        Ok(Self { inner, _stop: guard })
    }

    /// Moves what is beyond the cap of the room's list to SQL now, rather than when the next append finds it too long.
    /// Returns how many entries were moved.
    ///
    /// # Errors
    /// Whatever was moved before stays moved; nothing is lost.
    pub async fn archive(&self, room: Uuid) -> Result<u64, RoomError> {
        self.inner.archive(room, self.inner.archiver.cap()).await
    }
}

impl Inner {
    /// Starts what runs beside the commands, each until `stop`.
    fn spawn(self: &Arc<Self>, stop: &CancellationToken) {
        let spawn = |task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(task).await });
        };
        spawn(Box::pin(Arc::clone(self).refresh_presence()));
        spawn(Box::pin(Arc::clone(self).refresh_connections()));
        spawn(Box::pin(Arc::clone(self).archive_long_rooms()));
    }
}

#[async_trait]
impl RoomStore for RedisRooms {
    async fn append_all(
        &self,
        room: Uuid,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Result<Appended, AppendError>>, RoomError> {
        self.inner.append_all(room, &drafts).await
    }

    async fn read(&self, room: Uuid, range: Range, limit: usize) -> Result<Page, RoomError> {
        self.inner.read(room, range, limit.min(MAX_PAGE)).await
    }

    async fn head(&self, room: Uuid) -> Result<Position, RoomError> {
        Ok(self.inner.read(room, Range::Latest, 0).await?.head)
    }

    async fn notice(&self, room: Uuid) -> Result<Option<Notice>, RoomError> {
        let (epoch, json): (Option<String>, Option<String>) =
            self.inner.redis.run(Command::new("HMGET", &keys::meta(room)).arg("epoch").arg("notice")).await?;
        let json = match epoch {
            Some(_) => json,
            None => self.inner.closed(room).await?.and_then(|row| row.notice),
        };
        json.map(|json| decode(&json)).transpose()
    }

    async fn subscribe(&self, room: Uuid) -> Result<Subscription, RoomError> {
        self.inner.live.subscribe(room).await
    }

    async fn enter(&self, room: Uuid, person: &Person, connection: Uuid) -> Result<Entered, RoomError> {
        self.inner.enter(room, person, connection).await
    }

    async fn exit(&self, room: Uuid, user: Uuid, connection: Uuid) -> Result<(), RoomError> {
        self.inner.exit(room, user, connection).await
    }

    async fn presence(&self, room: Uuid, limit: usize) -> Result<Presence, RoomError> {
        self.inner.presence(room, limit.min(MAX_PAGE)).await
    }

    async fn mark_read(&self, room: Uuid, person: &Person, seq: u64) -> Result<u64, RoomError> {
        self.inner.mark_read(room, person, seq).await
    }

    async fn read_mark(&self, room: Uuid, user: Uuid) -> Result<u64, RoomError> {
        self.inner.read_mark(room, user).await
    }

    async fn publish(&self, event: &Ephemeral) -> Result<(), RoomError> {
        self.inner.live.tell(event).await
    }

    async fn admit(&self, user: Uuid, connection: Uuid, limit: u32) -> Result<bool, RoomError> {
        self.inner.admit(user, connection, limit).await
    }

    async fn dismiss(&self, user: Uuid, connection: Uuid) -> Result<(), RoomError> {
        self.inner.dismiss(user, connection).await
    }

    async fn sessions_changed(&self, user: Uuid) -> Result<(), RoomError> {
        self.inner.live.publish(&keys::sessions(), &user.to_string()).await
    }

    fn session_changes(&self) -> SessionChanges {
        self.inner.live.bus().session_changes()
    }

    async fn rooms_of(&self, user: Uuid, after: Uuid, limit: usize) -> Result<Vec<Uuid>, RoomError> {
        self.inner.rooms_of(user, after, limit).await
    }

    async fn anonymise(&self, user: Uuid) -> Result<(), RoomError> {
        self.inner.anonymise(user).await?;
        archive::anonymise(&self.inner.db, user).await
    }

    async fn retire(&self, room: Uuid, now: Timestamp) -> Result<(), RoomError> {
        self.inner.retire(room, now).await
    }

    async fn health(&self) -> Health {
        self.inner.live.health()
    }

    async fn close(&self) {
        self.inner.live.close();
        self.inner.redis.close();
    }
}
