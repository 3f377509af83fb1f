//! Subscribing again to a partition, and comparing the heads of its rooms with what was heard of them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::try_join_all;
use rand::Rng;
use tokio::time::sleep;
use uuid::Uuid;
use wire::Position;

use super::{
    super::{
        client::{Address, Command, FromReply, Redirection},
        keys,
        partitions::slot_of,
    },
    Live, Place,
    feed::{CHANNELS, Feed},
    lock,
};
use crate::rooms::{RoomError, SessionChange, Signal};

/// Pauses before subscribing again after that failed: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// Rooms whose heads are read by one pipeline.
const HEADS: usize = 200;
/// Between two such pipelines when nothing is known to be wrong: 2,000 rooms a second.
const PACE: Duration = Duration::from_millis(100);
/// Servers in turn that may say that another has the slot.
const MOVES: usize = 3;

impl Live {
    /// Has a partition subscribed to again, beside everything else.
    pub(super) fn mend(self: &Arc<Self>, number: usize) {
        let partition = &self.partitions[number];
        partition.broken.fetch_add(1, Ordering::SeqCst);
        if !partition.mending.swap(true, Ordering::SeqCst) {
            self.spawn(Arc::clone(self).mend_until_whole(number));
        }
    }

    async fn mend_until_whole(self: Arc<Self>, number: usize) {
        let partition = &self.partitions[number];
        let mut pause = PAUSES[0];
        loop {
            let broken = partition.broken.load(Ordering::SeqCst);
            match self.subscribe_in(number, &self.channels_of(number)).await {
                Ok(place) => {
                    self.mended(number);
                    self.settle(number, place);
                    partition.whole.send_replace(broken);
                    self.compare_heads(number, false).await;
                    pause = PAUSES[0];
                    partition.mending.store(false, Ordering::SeqCst);
                    // Whoever breaks it from here on begins again, or has begun.
                    if partition.is_whole() || partition.mending.swap(true, Ordering::SeqCst) {
                        return;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, partition = number, "subscribing to a partition failed; trying again");
                    self.mending_failed(number, &error);
                    // Not all at once.
                    let share = rand::rng().random_range(0.5..1.0);
                    sleep(pause.mul_f64(share)).await;
                    pause = (pause * 2).min(PAUSES[1]);
                    if let Err(error) = self.client.read_slots().await {
                        tracing::debug!(%error, "the slots of the cluster could not be read");
                    }
                }
            }
        }
    }

    /// Everything that is subscribed to in a partition.
    fn channels_of(&self, number: usize) -> Vec<String> {
        let mut channels: Vec<String> =
            lock(&self.partitions[number].rooms).iter().map(|room| keys::channel(*room)).collect();
        if self.is_probed(number) {
            channels.push(keys::probe(number, self.process));
        }
        if number == keys::SESSIONS_PARTITION {
            channels.push(keys::sessions());
        }
        channels
    }

    /// Subscribes to channels of a partition at the server that has its slot, and at the one that its slot is being moved to.
    pub(super) async fn subscribe_in(self: &Arc<Self>, number: usize, channels: &[String]) -> Result<Place, RoomError> {
        let home = self.subscribe_home(number, channels).await?;
        let moving_to = lock(&self.partitions[number].place).moving_to.clone();
        let ahead = match &moving_to {
            Some(to) if to != home.address() => self.subscribe_ahead(to, channels).await?,
            _ => None,
        };
        Ok(Place { home: Some(home), ahead, moving_to })
    }

    /// Remembers where a partition was subscribed to, and begins again if a connection has ended since.
    fn settle(self: &Arc<Self>, number: usize, subscribed: Place) {
        let ended = {
            let mut place = lock(&self.partitions[number].place);
            (place.home, place.ahead) = (subscribed.home, subscribed.ahead);
            // One that ends later finds that the partition is there.
            place.feeds().any(|feed| feed.has_ended())
        };
        if ended {
            self.mend(number);
        }
    }

    async fn subscribe_home(self: &Arc<Self>, number: usize, channels: &[String]) -> Result<Arc<Feed>, RoomError> {
        let slot = slot_of(number);
        let mut address = self.client.owner(slot)?;
        for _ in 0..MOVES {
            let feed = self.feed(&address);
            match subscribe_all(&feed, channels, false).await {
                Ok(()) => return Ok(feed),
                Err(error) => match redirection(&error, &address) {
                    Some(Redirection::Moved(to)) => {
                        self.client.assign(slot, to.clone());
                        address = to;
                    }
                    _ => return Err(error),
                },
            }
        }
        Err(RoomError::Unavailable(format!("no server of the cluster says that it has slot {slot}")))
    }

    /// `None` if the slot is no longer on its way there.
    async fn subscribe_ahead(
        self: &Arc<Self>,
        to: &Address,
        channels: &[String],
    ) -> Result<Option<Arc<Feed>>, RoomError> {
        let feed = self.feed(to);
        match subscribe_all(&feed, channels, true).await {
            Ok(()) => Ok(Some(feed)),
            Err(error) => match redirection(&error, to) {
                Some(_) => Ok(None),
                None => Err(error),
            },
        }
    }

    /// Has whoever listens to a room that is ahead of what was heard read its log; when heads cannot be read, all of them.
    pub(super) async fn compare_heads(&self, number: usize, paced: bool) {
        if !paced && number == keys::SESSIONS_PARTITION {
            self.bus.sessions_changed(SessionChange::Anyone);
        }
        let rooms: Vec<Uuid> = lock(&self.partitions[number].rooms).iter().copied().collect();
        for rooms in rooms.chunks(HEADS) {
            if paced {
                let _turn = self.pace.lock().await;
                sleep(PACE).await;
            }
            match self.heads(rooms).await {
                Ok(heads) => rooms.iter().zip(heads).for_each(|(room, head)| self.bus.compare(*room, head)),
                Err(error) => {
                    tracing::debug!(%error, partition = number, "heads could not be compared");
                    rooms.iter().for_each(|room| self.bus.signal(*room, Signal::Check));
                }
            }
        }
    }

    /// The heads of rooms of one partition; `None` for one without a log.
    async fn heads(&self, rooms: &[Uuid]) -> Result<Vec<Option<Position>>, RoomError> {
        let command = |room: &Uuid| Command::new("HMGET", &keys::meta(*room)).arg("epoch").arg("head");
        let commands: Vec<Command> = rooms.iter().map(command).collect();
        let replies = self.client.run_all(&commands).await?;
        let head = |reply| {
            let (epoch, head) = <(Option<String>, Option<u64>)>::from_reply(reply)?;
            let epoch = epoch.map(|epoch| epoch.parse()).transpose().ok()?;
            Some(epoch.map(|epoch| Position { epoch, seq: head.unwrap_or(0) }))
        };
        let heads: Option<Vec<_>> = replies.into_iter().map(head).collect();
        heads.ok_or_else(|| RoomError::corrupt("a head that is none"))
    }
}

async fn subscribe_all(feed: &Feed, channels: &[String], asking: bool) -> Result<(), RoomError> {
    let chunks = channels.chunks(CHANNELS).map(|chunk| feed.subscribe(chunk.to_vec(), asking));
    try_join_all(chunks).await.map(drop)
}

fn redirection(error: &RoomError, asked: &Address) -> Option<Redirection> {
    match error {
        RoomError::Unavailable(text) => Redirection::parse(text, asked),
        _ => None,
    }
}
