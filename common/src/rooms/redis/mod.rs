//! The room log in Redis 7: a list and a hash for each room, one script an append, sharded pub/sub to every process.
//!
//! | key | type | what it holds |
//! | --- | --- | --- |
//! | `mz:{room}:log` | list | the entries as clients receive them; an entry's number is its place |
//! | `mz:{room}:meta` | hash | `epoch`, `head` (number of the latest entry), `notice` (JSON) |
//! | `mz:{room}:nonces:<author>` | hash | nonce → `seq at`, the latest 256 at least |
//! | `mz:{room}` | channel | `epoch entry` for each append |
//!
//! The braces are the hash tag of Redis Cluster: all keys and the channel of a room live in one slot, so that the
//! script works there as on a single server. Sharded pub/sub is used on both.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fred::{
    clients::{Pool, SubscriberClient},
    interfaces::{ClientLike, EventInterface, HashesInterface, LuaInterface, PubsubInterface},
    types::{
        Builder, Message, Value,
        config::{Config as RedisConfig, Options, ReconnectPolicy, UnresponsiveConfig},
        scripts::Script,
    },
};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};
use uuid::Uuid;

use super::{
    Appended, Draft, MAX_PAGE, NONCE_WINDOW, Page, Range, RawEntry, RoomError, RoomStore, SYSTEM, Signal, Subscription,
    bus::Bus, encode_tail, notice_of,
};
use crate::{
    config::SecretUrl,
    ids::IdSource,
    time::Timestamp,
    wire::{Notice, Position},
};

/// Commands waiting for one connection, at most; one more fails at once.
const COMMAND_BUFFER: usize = 10_000;
/// Messages waiting for the pump, at most; beyond that every room is checked against its log.
const MESSAGE_BUFFER: usize = 16_384;

/// See the module.
pub struct RedisRooms {
    inner: Arc<Inner>,
    pump: JoinHandle<()>,
}

struct Inner {
    pool: Pool,
    subscriber: SubscriberClient,
    options: Options,
    append: Script,
    read: Script,
    ids: Arc<dyn IdSource>,
    bus: Arc<Bus>,
    /// Subscribing to and unsubscribing from one room must not overtake each other.
    turns: [tokio::sync::Mutex<()>; 64],
}

impl From<fred::error::Error> for RoomError {
    fn from(error: fred::error::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

fn corrupt(what: &str) -> RoomError {
    RoomError::Corrupt(what.to_owned())
}

fn log_key(room: Uuid) -> String {
    format!("mz:{{{room}}}:log")
}

fn meta_key(room: Uuid) -> String {
    format!("mz:{{{room}}}:meta")
}

fn nonces_key(room: Uuid, author: Uuid) -> String {
    format!("mz:{{{room}}}:nonces:{author}")
}

fn channel(room: Uuid) -> String {
    format!("mz:{{{room}}}")
}

fn room_of_channel(channel: &str) -> Option<Uuid> {
    channel.strip_prefix("mz:{")?.strip_suffix('}')?.parse().ok()
}

/// What every client of a process shares: each wait has an end, each buffer a limit.
fn builder(url: &SecretUrl, timeout: Duration) -> Result<Builder, RoomError> {
    let config = RedisConfig::from_url(url.expose())?;
    let mut builder = Builder::from_config(config);
    builder
        .with_connection_config(|connection| {
            connection.connection_timeout = timeout;
            connection.internal_command_timeout = timeout;
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = COMMAND_BUFFER;
            connection.unresponsive = UnresponsiveConfig { max_timeout: Some(timeout), interval: timeout / 4 };
            connection.tcp.nodelay = Some(true);
        })
        .with_performance_config(|performance| {
            performance.default_command_timeout = timeout;
            performance.broadcast_channel_capacity = MESSAGE_BUFFER;
        })
        // Without end, and never longer than a second: what waits for Redis is people.
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 1_000, 2));
    Ok(builder)
}

impl RedisRooms {
    /// Connects `connections` command connections and one subscriber.
    ///
    /// # Errors
    /// [`RoomError::Unavailable`] when Redis does not answer within 4 s or refuses the connection.
    pub async fn connect(
        url: &SecretUrl,
        connections: usize,
        timeout: Duration,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, RoomError> {
        let builder = builder(url, timeout)?;
        let pool = builder.build_pool(connections.max(1))?;
        let subscriber = builder.build_subscriber_client()?;
        let connect = async {
            pool.init().await?;
            subscriber.init().await
        };
        tokio::time::timeout(Duration::from_secs(4), connect)
            .await
            .map_err(|_| RoomError::Unavailable("no answer to connecting".to_owned()))??;
        let inner = Arc::new(Inner {
            pool,
            subscriber,
            // A command while the connection is down fails at once instead of waiting in line.
            options: Options { fail_fast: true, max_attempts: Some(1), timeout: Some(timeout), ..Options::default() },
            append: Script::from_lua(include_str!("append.lua")),
            read: Script::from_lua(include_str!("read.lua")),
            ids,
            bus: Bus::new(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        });
        let pump = tokio::spawn(Arc::clone(&inner).pump());
        Ok(Self { inner, pump })
    }
}

impl Inner {
    /// Hands what Redis publishes to the bus, until the process ends.
    async fn pump(self: Arc<Self>) {
        let mut messages = self.subscriber.message_rx();
        let mut reconnects = self.subscriber.reconnect_rx();
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Ok(message) => self.hand_on(&message),
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "the process fell behind Redis; checking every room");
                        self.bus.check_all();
                    }
                    Err(RecvError::Closed) => return,
                },
                reconnect = reconnects.recv() => {
                    if matches!(reconnect, Err(RecvError::Closed)) {
                        return;
                    }
                    self.resubscribe().await;
                }
            }
        }
    }

    fn hand_on(&self, message: &Message) {
        let signal = || {
            let text = message.value.as_bytes_str()?;
            let (epoch, json) = text.split_once(' ')?;
            let seq = json.strip_prefix("{\"seq\":")?.split_once(',')?.0.parse().ok()?;
            Some(Signal::Entry { epoch: epoch.parse().ok()?, entry: RawEntry { seq, json: json.into() } })
        };
        match (room_of_channel(&message.channel), signal()) {
            (Some(room), Some(signal)) => self.bus.signal(room, signal),
            _ => tracing::warn!(channel = %message.channel, "ignored a message that is no entry"),
        }
    }

    /// After a connection was lost: what was published in between is missing, so every room is checked, but only once
    /// the live stream runs again.
    async fn resubscribe(&self) {
        match self.subscriber.resubscribe_all().await {
            Ok(()) => self.bus.check_all(),
            // The connection broke again; the next reconnect comes here again.
            Err(error) => tracing::warn!(%error, "subscribing again failed"),
        }
    }

    async fn eval(&self, script: &Script, keys: Vec<String>, args: Vec<Value>) -> Result<Value, RoomError> {
        let client = self.pool.next().with_options(&self.options);
        match client.evalsha(script.sha1().clone(), keys.clone(), args.clone()).await {
            // A restarted server has forgotten its scripts; EVAL teaches it again.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let source = script.lua().ok_or_else(|| corrupt("script without text"))?.clone();
                Ok(client.eval(source, keys, args).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn read(&self, room: Uuid, kind: &str, seq: u64, limit: usize) -> Result<Page, RoomError> {
        let args =
            vec![self.ids.next_id().to_string().into(), kind.into(), seq.to_string().into(), limit.to_string().into()];
        let reply = self.eval(&self.read, vec![log_key(room), meta_key(room)], args).await?;
        let (epoch, head, first, entries): (String, u64, u64, Vec<String>) =
            reply.convert().map_err(|_| corrupt("a page that is none"))?;
        let entries = (first..).zip(entries).map(|(seq, json)| RawEntry { seq, json: json.into() }).collect();
        let epoch = epoch.parse().map_err(|_| corrupt("an epoch that is no id"))?;
        Ok(Page { head: Position { epoch, seq: head }, entries })
    }

    async fn subscribe(self: Arc<Self>, room: Uuid) -> Result<Subscription, RoomError> {
        let _turn = self.turn_of(room).lock().await;
        let inner = Arc::clone(&self);
        let runtime = tokio::runtime::Handle::current();
        let subscription = self.bus.subscribe(room).on_drop(move || {
            runtime.spawn(inner.unsubscribe(room));
        });
        // Subscribing twice is harmless, and surer than remembering what the server remembers.
        self.subscriber.ssubscribe(channel(room)).await?;
        Ok(subscription)
    }

    async fn unsubscribe(self: Arc<Self>, room: Uuid) {
        let _turn = self.turn_of(room).lock().await;
        if self.bus.forget_deaf(room)
            && let Err(error) = self.subscriber.sunsubscribe(channel(room)).await
        {
            tracing::debug!(%error, %room, "unsubscribing failed");
        }
    }

    fn turn_of(&self, room: Uuid) -> &tokio::sync::Mutex<()> {
        &self.turns[usize::from(room.as_bytes()[15]) % self.turns.len()]
    }
}

#[async_trait]
impl RoomStore for RedisRooms {
    async fn append(&self, room: Uuid, draft: Draft) -> Result<Appended, RoomError> {
        let notice = match notice_of(&draft) {
            None => String::new(),
            Some(None) => "-".to_owned(),
            Some(Some(notice)) => {
                serde_json::to_string(&notice).map_err(|error| RoomError::Corrupt(error.to_string()))?
            }
        };
        let window = if draft.author == SYSTEM { 0 } else { NONCE_WINDOW.as_secs() };
        let args = vec![
            self.inner.ids.next_id().to_string().into(),
            draft.nonce.clone().unwrap_or_default().into(),
            encode_tail(room, &draft)?.into(),
            draft.at.millis().to_string().into(),
            window.to_string().into(),
            notice.into(),
            channel(room).into(),
        ];
        let keys = vec![log_key(room), meta_key(room), nonces_key(room, draft.author)];
        let reply = self.inner.eval(&self.inner.append, keys, args).await?;
        let (epoch, seq, at, duplicate): (String, u64, i64, bool) =
            reply.convert().map_err(|_| corrupt("a reply to an append that is none"))?;
        let epoch = epoch.parse().map_err(|_| corrupt("an epoch that is no id"))?;
        Ok(Appended { position: Position { epoch, seq }, at: Timestamp(at), duplicate })
    }

    async fn read(&self, room: Uuid, range: Range, limit: usize) -> Result<Page, RoomError> {
        let limit = limit.min(MAX_PAGE);
        match range {
            Range::Latest => self.inner.read(room, "latest", 0, limit).await,
            Range::After(seq) => self.inner.read(room, "after", seq, limit).await,
            Range::Before(seq) => self.inner.read(room, "before", seq, limit).await,
        }
    }

    async fn head(&self, room: Uuid) -> Result<Position, RoomError> {
        Ok(self.inner.read(room, "latest", 0, 0).await?.head)
    }

    async fn notice(&self, room: Uuid) -> Result<Option<Notice>, RoomError> {
        let client = self.inner.pool.next().with_options(&self.inner.options);
        let json: Option<String> = client.hget(meta_key(room), "notice").await?;
        json.map(|json| serde_json::from_str(&json).map_err(|error| RoomError::Corrupt(error.to_string()))).transpose()
    }

    async fn subscribe(&self, room: Uuid) -> Result<Subscription, RoomError> {
        Arc::clone(&self.inner).subscribe(room).await
    }

    async fn health(&self) -> Result<(), RoomError> {
        self.inner.pool.next().with_options(&self.inner.options).ping::<()>(None).await?;
        if self.inner.subscriber.is_connected() {
            Ok(())
        } else {
            Err(RoomError::Unavailable("the live stream is not connected".to_owned()))
        }
    }

    async fn close(&self) {
        self.pump.abort();
        self.inner.bus.close();
        for outcome in [self.inner.subscriber.quit().await, self.inner.pool.quit().await] {
            if let Err(error) = outcome {
                tracing::debug!(%error, "closing a Redis connection failed");
            }
        }
    }
}
