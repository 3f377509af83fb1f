//! Live stream: subscriptions to rooms, partition by partition, and what keeps every partition heard.
//!
//! Delivery is never inferred from the state of a connection. Once a second a probe of each partition is written, published
//! and must be heard here ([`probe`]). A partition whose connection ended, whose slot has moved, or that is silent is subscribed
//! to again, and then the heads of its rooms are compared with what was heard of them ([`mend`]), so that whoever listens to
//! one that is ahead is told to read its log. A partition that cannot be reached holds up no other.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`feed`] | subscriber connection to one server |
//! | [`mend`] | subscribing again; comparing heads |
//! | [`probe`] | the probe of each partition, and health as the probes show it |

mod feed;
mod mend;
mod probe;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::Ephemeral;

use self::{
    feed::{Event, Feed},
    probe::ProbeState,
};
use super::{
    client::{Address, Client, Command, Script},
    keys::{self, Topic},
    partitions::{PARTITIONS, partition_of},
};
use crate::rooms::{RawEntry, RoomError, SessionChange, Signal, Subscription, bus::Bus, decode, encode};

/// See the module.
pub(super) struct Live {
    client: Arc<Client>,
    /// This process, in the names of its probes.
    process: Uuid,
    bus: Arc<Bus>,
    timeout: Duration,
    stop: CancellationToken,
    started: Instant,
    partitions: Vec<Partition>,
    feeds: Mutex<HashMap<Address, Arc<Feed>>>,
    probe: Script,
    /// Comparing heads once a minute goes no faster than this allows.
    pace: tokio::sync::Mutex<()>,
    /// Subscribing to and unsubscribing from one room must not overtake each other.
    turns: [tokio::sync::Mutex<()>; 64],
}

/// What is known of the subscriptions of one partition.
struct Partition {
    rooms: Mutex<HashSet<Uuid>>,
    /// Where it is subscribed to.
    place: Mutex<Place>,
    /// How often a reason came up to subscribe again.
    broken: AtomicU64,
    /// For how many of them that was done.
    whole: watch::Sender<u64>,
    mending: AtomicBool,
    /// The partition was subscribed to again.
    subscribed: Notify,
    probe: Mutex<ProbeState>,
}

/// Where a partition is subscribed to.
#[derive(Default)]
struct Place {
    /// The server that has its slot.
    home: Option<Arc<Feed>>,
    /// The server that its slot is being moved to: what is written there already is published there.
    ahead: Option<Arc<Feed>>,
    /// Where its slot is being moved to, as a probe was told.
    moving_to: Option<Address>,
}

impl Place {
    /// Whether the subscriptions of both are on the same connections.
    fn is_same(&self, other: &Self) -> bool {
        let same = |one: &Option<Arc<Feed>>, other: &Option<Arc<Feed>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same(&self.home, &other.home) && same(&self.ahead, &other.ahead)
    }

    fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        [&self.home, &self.ahead].into_iter().flatten()
    }
}

impl Partition {
    fn new() -> Self {
        Self {
            rooms: Mutex::default(),
            place: Mutex::default(),
            broken: AtomicU64::new(0),
            whole: watch::Sender::new(0),
            mending: AtomicBool::new(false),
            subscribed: Notify::new(),
            probe: Mutex::default(),
        }
    }

    fn is_whole(&self) -> bool {
        *self.whole.borrow() == self.broken.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    /// Begins to subscribe to every partition, and to watch over them until `stop`.
    pub(super) fn start(client: Arc<Client>, process: Uuid, timeout: Duration, stop: CancellationToken) -> Arc<Self> {
        let live = Arc::new(Self {
            client,
            process,
            bus: Bus::new(),
            timeout,
            stop,
            started: Instant::now(),
            partitions: (0..PARTITIONS).map(|_| Partition::new()).collect(),
            feeds: Mutex::default(),
            probe: Script::new(include_str!("../probe.lua")),
            pace: tokio::sync::Mutex::default(),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
        });
        for partition in 0..PARTITIONS {
            live.mend(partition);
            live.spawn(Arc::clone(&live).watch(partition));
        }
        live
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(task).await });
    }

    pub(super) const fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// Ends every subscription and connection.
    pub(super) fn close(&self) {
        // Nothing is to be mended any more.
        self.stop.cancel();
        self.bus.close();
        lock(&self.feeds).drain().for_each(|(_, feed)| feed.end());
    }

    /// The connection to a server, which begins when it is first needed.
    fn feed(self: &Arc<Self>, address: &Address) -> Arc<Feed> {
        let mut feeds = lock(&self.feeds);
        // Servers that have no partition any more.
        feeds.retain(|at, feed| at == address || Arc::strong_count(feed) > 1);
        let feed = feeds.entry(address.clone()).or_insert_with(|| {
            let (live, at) = (Arc::downgrade(self), address.clone());
            let listener = move |event: Event<'_>| {
                if let Some(live) = live.upgrade() {
                    live.hear(&at, event);
                }
            };
            Arc::new(Feed::open(self.client.endpoint(), address.clone(), self.timeout, Box::new(listener)))
        });
        Arc::clone(feed)
    }

    fn hear(self: &Arc<Self>, address: &Address, event: Event<'_>) {
        match event {
            Event::Message { channel, text } => self.hand_on(channel, text),
            Event::Dropped { channel } => {
                if let Some((partition, _)) = keys::topic(channel) {
                    self.mend(partition);
                }
            }
            Event::Ended => {
                lock(&self.feeds).remove(address);
                for partition in 0..PARTITIONS {
                    if self.is_at(partition, address) {
                        self.mend(partition);
                    }
                }
            }
        }
    }

    fn is_at(&self, partition: usize, address: &Address) -> bool {
        let place = lock(&self.partitions[partition].place);
        place.feeds().any(|feed| feed.address() == address)
    }

    fn hand_on(&self, channel: &str, text: &str) {
        let understood = match keys::topic(channel) {
            Some((partition, Topic::Probe(process))) if process == self.process => {
                self.hear_probe(partition);
                Some(())
            }
            Some((_, Topic::Sessions)) => {
                text.parse().ok().map(|user| self.bus.sessions_changed(SessionChange::Of(user)))
            }
            Some((_, Topic::Room(room))) => signal_of(text).map(|signal| self.bus.signal(room, signal)),
            _ => None,
        };
        if understood.is_none() {
            tracing::warn!(channel, "ignored a message that is none of ours");
        }
    }

    fn turn_of(&self, room: Uuid) -> &tokio::sync::Mutex<()> {
        // Not the byte that says the partition.
        &self.turns[usize::from(room.as_bytes()[14]) % self.turns.len()]
    }

    /// Subscribes to a room: when this returns, every entry appended from now on is signalled, or that the log is to be read.
    ///
    /// # Errors
    /// When the room's partition cannot be reached.
    pub(super) async fn subscribe(self: &Arc<Self>, room: Uuid) -> Result<Subscription, RoomError> {
        let _turn = self.turn_of(room).lock().await;
        let live = Arc::clone(self);
        let subscription = self.bus.subscribe(room).on_drop(move || {
            live.spawn(Arc::clone(&live).unsubscribe(room));
        });
        // Whatever subscribes to the partition again from now on has this room in it.
        lock(&self.partitions[partition_of(room)].rooms).insert(room);
        let late = || RoomError::Unavailable("the subscription was not confirmed in time".to_owned());
        timeout(self.timeout, self.confirm(room)).await.map_err(|_| late())??;
        Ok(subscription)
    }

    /// Waits until a room is subscribed to while its partition is whole.
    async fn confirm(self: &Arc<Self>, room: Uuid) -> Result<(), RoomError> {
        let number = partition_of(room);
        let partition = &self.partitions[number];
        loop {
            let broken = self.until_whole(number).await?;
            match self.subscribe_in(number, &[keys::channel(room)]).await {
                Ok(place) if !lock(&partition.place).is_same(&place) => self.mend(number),
                Ok(_) if partition.broken.load(Ordering::SeqCst) == broken => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, %room, "subscribing failed");
                    self.mend(number);
                }
            }
        }
    }

    /// Waits for a partition that is being subscribed to again, unless that has failed before. Returns how often it was broken.
    async fn until_whole(&self, number: usize) -> Result<u64, RoomError> {
        let partition = &self.partitions[number];
        let mut whole = partition.whole.subscribe();
        while !partition.is_whole() {
            if let Some(error) = self.mending_error(number) {
                return Err(RoomError::Unavailable(error));
            }
            // Looks again now and then, since failing tells nobody.
            let soon = Instant::now() + Duration::from_millis(50);
            drop(timeout_at(soon, whole.changed()).await);
        }
        Ok(partition.broken.load(Ordering::SeqCst))
    }

    async fn unsubscribe(self: Arc<Self>, room: Uuid) {
        let _turn = self.turn_of(room).lock().await;
        if !self.bus.forget_deaf(room) {
            return;
        }
        let partition = &self.partitions[partition_of(room)];
        lock(&partition.rooms).remove(&room);
        let feeds: Vec<Arc<Feed>> = lock(&partition.place).feeds().cloned().collect();
        for feed in feeds {
            if let Err(error) = feed.unsubscribe(keys::channel(room)).await {
                tracing::debug!(%error, %room, "unsubscribing failed");
            }
        }
    }

    /// Publishes an event of a room.
    pub(super) async fn tell(&self, event: &Ephemeral) -> Result<(), RoomError> {
        self.publish(&keys::channel(event.room()), &format!("~ {}", encode(event)?)).await
    }

    pub(super) async fn publish(&self, channel: &str, text: &str) -> Result<(), RoomError> {
        self.client.run(&Command::new("SPUBLISH", channel).arg(text)).await
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
