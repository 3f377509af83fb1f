//! The live stream: one connection that subscribes, and everything that keeps it honest.
//!
//! A connection that was lost, or that is open but says nothing, has missed entries. So the process talks to itself over
//! the stream: a probe that does not come back means silence, and the connection is made anew; and after every reconnect all
//! subscriptions are made again before every room is checked against its log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::SubscriberClient,
    interfaces::{ClientLike, EventInterface, PubsubInterface},
    types::Message,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{sync::broadcast::error::RecvError, time::Instant};
use uuid::Uuid;
use wire::Ephemeral;

use super::{
    Inner,
    client::Command,
    keys::{self, Topic},
};
use crate::rooms::{RawEntry, RoomError, SessionChange, Signal, Subscription, bus::Bus, decode, encode};

/// How often the process talks to itself.
const PROBE: Duration = Duration::from_secs(1);
/// A stream that is silent for longer is broken.
const SILENCE: Duration = Duration::from_secs(3);
/// How long to wait before subscribing again after that failed.
const RETRY: Duration = Duration::from_millis(200);
/// Probes in a cluster: enough for one to land in the slots of each master.
const CLUSTER_PROBES: usize = 32;
/// Subscriptions under way at a time.
const AT_ONCE: usize = 64;
/// Channels in one command to a single server.
const CHANNELS: usize = 500;

/// See the module.
pub(super) struct Live {
    subscriber: SubscriberClient,
    process: Uuid,
    bus: Arc<Bus>,
    started: Instant,
    /// When each probe was last heard, in milliseconds since the start.
    heard: Vec<AtomicU64>,
    /// Whether every subscription was made since the last reconnect.
    whole: AtomicBool,
    /// Subscribing to and unsubscribing from one room must not overtake each other.
    turns: [tokio::sync::Mutex<()>; 64],
}

impl Live {
    pub(super) fn new(subscriber: SubscriberClient, process: Uuid) -> Self {
        let probes = if subscriber.is_clustered() { CLUSTER_PROBES } else { 1 };
        Self {
            subscriber,
            process,
            bus: Bus::new(),
            started: Instant::now(),
            heard: (0..probes).map(|_| AtomicU64::new(0)).collect(),
            whole: AtomicBool::new(false),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        }
    }

    pub(super) const fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    pub(super) fn health(&self) -> Result<(), RoomError> {
        let why = if !self.subscriber.is_connected() {
            "the live stream is not connected"
        } else if !self.whole.load(Ordering::SeqCst) {
            "the live stream is being restored"
        } else if self.silence() > SILENCE {
            "the live stream is silent"
        } else {
            return Ok(());
        };
        Err(RoomError::Unavailable(why.to_owned()))
    }

    pub(super) async fn close(&self) {
        self.bus.close();
        if let Err(error) = self.subscriber.quit().await {
            tracing::debug!(%error, "closing the live stream failed");
        }
    }

    /// For how long the quietest probe has not been heard.
    fn silence(&self) -> Duration {
        let oldest = self.heard.iter().map(|heard| heard.load(Ordering::SeqCst)).min().unwrap_or(0);
        self.started.elapsed().saturating_sub(Duration::from_millis(oldest))
    }

    fn hear(&self, probe: usize) {
        if let Some(heard) = self.heard.get(probe) {
            let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            heard.store(now, Ordering::SeqCst);
        }
    }

    fn hear_all(&self) {
        (0..self.heard.len()).for_each(|probe| self.hear(probe));
    }

    fn hand_on(&self, message: &Message) {
        let text = message.value.as_bytes_str();
        let text = text.as_deref().unwrap_or_default();
        let understood = match keys::topic(&message.channel) {
            Some(Topic::Probe(probe)) => {
                self.hear(probe);
                Some(())
            }
            Some(Topic::Sessions) => text.parse().ok().map(|user| self.bus.sessions_changed(SessionChange::Of(user))),
            Some(Topic::Room(room)) => signal_of(text).map(|signal| self.bus.signal(room, signal)),
            None => None,
        };
        if understood.is_none() {
            tracing::warn!(channel = %message.channel, "ignored a message that is none of ours");
        }
    }

    async fn ssubscribe(&self, channels: Vec<String>) -> Result<(), RoomError> {
        if !self.subscriber.is_connected() {
            return Err(RoomError::Unavailable("the live stream is not connected".to_owned()));
        }
        Ok(self.subscriber.ssubscribe(channels).await?)
    }

    fn turn_of(&self, room: Uuid) -> &tokio::sync::Mutex<()> {
        &self.turns[usize::from(room.as_bytes()[15]) % self.turns.len()]
    }
}

/// What was published in a room.
fn signal_of(text: &str) -> Option<Signal> {
    let (epoch, json) = text.split_once(' ')?;
    if epoch == "~" {
        return Some(Signal::Ephemeral { event: decode(json).ok()?, json: json.into() });
    }
    let seq = json.strip_prefix("{\"seq\":")?.split_once(',')?.0.parse().ok()?;
    Some(Signal::Entry { epoch: epoch.parse().ok()?, entry: RawEntry::new(seq, json) })
}

impl Inner {
    /// Hands what Redis publishes to the bus.
    pub(super) async fn pump(self: Arc<Self>) {
        let mut messages = self.live.subscriber.message_rx();
        loop {
            match messages.recv().await {
                Ok(message) => self.live.hand_on(&message),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the process fell behind Redis; checking every room");
                    self.live.bus.check_all();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Restores the live stream after every reconnect.
    pub(super) async fn heal(self: Arc<Self>) {
        let mut reconnects = self.live.subscriber.reconnect_rx();
        while !matches!(reconnects.recv().await, Err(RecvError::Closed)) {
            self.live.whole.store(false, Ordering::SeqCst);
            while let Err(error) = self.resubscribe().await {
                tracing::warn!(%error, "subscribing again failed; trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Makes every subscription, and then has every room checked: what was published in between is missing.
    pub(super) async fn resubscribe(&self) -> Result<(), RoomError> {
        let live = &self.live;
        let mut channels = vec![keys::sessions()];
        channels.extend((0..live.heard.len()).map(|n| keys::probe(live.process, n)));
        channels.extend(live.bus.rooms().into_iter().map(keys::channel));
        // Channels of one command must be in one slot of a cluster.
        let size = if live.subscriber.is_clustered() { 1 } else { CHANNELS };
        let commands: Vec<_> = channels.chunks(size).map(|chunk| live.ssubscribe(chunk.to_vec())).collect();
        stream::iter(commands).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        live.hear_all();
        live.whole.store(true, Ordering::SeqCst);
        live.bus.check_all();
        Ok(())
    }

    /// Talks to itself over the live stream, and has the connection made anew when that is not heard.
    pub(super) async fn probe(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(PROBE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let probes =
                (0..self.live.heard.len()).map(|n| self.publish(keys::probe(self.live.process, n), String::new()));
            let sent = futures_util::future::try_join_all(probes).await;
            // While commands fail there is nothing to be heard either, and the connection recovers by itself.
            if sent.is_ok() && self.live.silence() > SILENCE {
                self.reconnect().await;
            }
        }
    }

    async fn reconnect(&self) {
        tracing::warn!("the live stream is silent; connecting again");
        self.live.whole.store(false, Ordering::SeqCst);
        let again = async {
            self.live.subscriber.force_reconnection().await?;
            self.resubscribe().await
        };
        match tokio::time::timeout(SILENCE, again).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "connecting again failed"),
            Err(_) => tracing::warn!("connecting again takes long"),
        }
        // It has as long again to be heard; until it is whole, health is red anyway.
        self.live.hear_all();
    }

    pub(super) async fn subscribe(self: Arc<Self>, room: Uuid) -> Result<Subscription, RoomError> {
        let _turn = self.live.turn_of(room).lock().await;
        let inner = Arc::clone(&self);
        let runtime = tokio::runtime::Handle::current();
        let subscription = self.live.bus.subscribe(room).on_drop(move || {
            runtime.spawn(inner.unsubscribe(room));
        });
        // Subscribing twice is harmless, and surer than remembering what the server remembers.
        self.live.ssubscribe(vec![keys::channel(room)]).await?;
        Ok(subscription)
    }

    async fn unsubscribe(self: Arc<Self>, room: Uuid) {
        let _turn = self.live.turn_of(room).lock().await;
        if self.live.bus.forget_deaf(room)
            && let Err(error) = self.live.subscriber.sunsubscribe(keys::channel(room)).await
        {
            tracing::debug!(%error, %room, "unsubscribing failed");
        }
    }

    pub(super) async fn tell(&self, event: &Ephemeral) -> Result<(), RoomError> {
        self.publish(keys::channel(event.room()), format!("~ {}", encode(event)?)).await
    }

    pub(super) async fn publish(&self, channel: String, text: String) -> Result<(), RoomError> {
        self.redis.run(Command::new("SPUBLISH", &channel).arg(text)).await
    }
}
