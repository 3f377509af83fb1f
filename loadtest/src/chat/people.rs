//! People of a chat room by how they behave, and what each of them heard against what they had to.
//!
//! Readers, talkers and commuters are chat clients that resume after a lost connection. A slow phone reads a little at a
//! time, and a lurker keeps a socket open and is in no room; both are counted by how their connections end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use clap::Args;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Deserialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Member,
    arrivals::{Arrivals, Coming, Times},
    crowd::{Crowd, Kind},
    listener::{Heard, Listener},
    load::lock,
    message::Message,
    protocol::Protocol,
};
use crate::{
    client::{Backoff, Client, Options},
    clock::{between, stamp},
    failure::Outcome,
    metrics::Recorder,
    socket::{Socket, Upgrade},
    system,
};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long deliveries may be awaited after the last message.
const SETTLE: Duration = Duration::from_secs(20);
/// A slow phone's receive buffer in bytes, and the time between two reads.
const SLOW_BUFFER: u32 = 4096;
const SLOW_READ: Duration = Duration::from_millis(200);
/// Messages of one person under way, at most; more are not sent and counted as late.
const UNDER_WAY: usize = 64;

/// How many people of each kind are in each room, what they say, and when they come.
#[derive(Args, Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Rooms.
    #[arg(long, default_value_t = 10)]
    pub rooms: usize,
    /// Readers in each room: they are there and say nothing.
    #[arg(long, default_value_t = 10)]
    pub readers: usize,
    /// Talkers in each room.
    #[arg(long, default_value_t = 5)]
    pub talkers: usize,
    /// Commuters in each room: talkers who lose their connection again and again.
    #[arg(long, default_value_t = 2)]
    pub commuters: usize,
    /// Slow phones in each room: they read a few KiB a second.
    #[arg(long, default_value_t = 1)]
    pub slow: usize,
    /// Lurkers for each room: they keep a connection open and join nothing.
    #[arg(long, default_value_t = 2)]
    pub lurkers: usize,
    /// Messages a minute of each talker and commuter, at random times.
    #[arg(long, default_value_t = 20.0)]
    pub messages_per_minute: f64,
    /// Characters of a message, 32 or more.
    #[arg(long, default_value_t = 40)]
    pub text: usize,
    /// When people come.
    #[arg(long, value_enum, default_value = "even")]
    pub coming: Coming,
    /// Seconds within which people come; a push takes ten.
    #[arg(long, default_value_t = 5.0)]
    pub coming_seconds: f64,
    /// Seconds that they talk after everyone has come.
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// Seconds from one lost connection of a commuter to the next, on average.
    #[arg(long, default_value_t = 15.0)]
    pub tunnel_every: f64,
    /// Seconds that a commuter is without a connection.
    #[arg(long, default_value_t = 2.0)]
    pub tunnel_seconds: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rooms: 10,
            readers: 10,
            talkers: 5,
            commuters: 2,
            slow: 1,
            lurkers: 2,
            messages_per_minute: 20.0,
            text: 40,
            coming: Coming::Even,
            coming_seconds: 5.0,
            seconds: 30.0,
            tunnel_every: 15.0,
            tunnel_seconds: 2.0,
        }
    }
}

impl Config {
    /// Members of each room.
    pub const fn members(&self) -> usize {
        self.readers + self.talkers + self.commuters + self.slow + self.lurkers
    }

    /// Time within which everyone comes.
    pub fn coming_time(&self) -> Duration {
        match self.coming {
            Coming::AtOnce => Duration::ZERO,
            Coming::Push => Duration::from_secs(10),
            Coming::Even | Coming::Morning => Duration::from_secs_f64(self.coming_seconds.clamp(0.0, 1e6)),
        }
    }

    /// Time that everyone talks.
    pub fn talking_time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.0, 1e6))
    }

    /// How member number `number` of a room behaves.
    const fn kind(&self, number: usize) -> Kind {
        let mut rest = number;
        if rest < self.talkers {
            return Kind::Talker;
        }
        rest -= self.talkers;
        if rest < self.commuters {
            return Kind::Commuter;
        }
        rest -= self.commuters;
        if rest < self.readers {
            return Kind::Reader;
        }
        rest -= self.readers;
        if rest < self.slow { Kind::Slow } else { Kind::Lurker }
    }
}

/// One person to be.
#[derive(Clone)]
struct Person {
    number: usize,
    kind: Kind,
    room: Uuid,
    token: String,
    comes: Instant,
    leaves: Instant,
}

/// Lets everyone come, talk and leave. `gateways` are `ws://host:port/ws`. When this returns, everything is recorded.
///
/// # Errors
/// When a task has failed.
pub async fn run(
    config: &Config,
    rooms: &[system::Room],
    gateways: &[String],
    recorder: Arc<Recorder>,
    seed: u64,
) -> Outcome {
    let members = config.members();
    let start = Instant::now();
    let total = rooms.len() * members;
    let mut people = Vec::new();
    for (index, room) in rooms.iter().enumerate() {
        for (place, user) in room.members.iter().take(members).enumerate() {
            // Rooms fill side by side, as a crowd does.
            let turn = place * rooms.len() + index;
            people.push(Person {
                number: people.len(),
                kind: config.kind(place),
                room: room.id,
                token: user.token.clone(),
                comes: start + config.coming.at(turn, total, config.coming_time()),
                leaves: start + config.coming_time() + config.talking_time(),
            });
        }
    }
    let kinds = people.iter().map(|person| person.kind).collect();
    let crowd = Arc::new(Crowd::of(recorder, kinds));
    let mut tasks = JoinSet::new();
    let mut listeners = Vec::new();
    let leave = CancellationToken::new();
    for person in people {
        let task = Task {
            crowd: Arc::clone(&crowd),
            config: config.clone(),
            gateways: gateways.to_vec(),
            seed,
            leave: leave.clone(),
        };
        match person.kind {
            Kind::Slow | Kind::Lurker => drop(tasks.spawn(task.keep_socket(person))),
            _ => {
                let listener = Arc::new(Listener::new(Arc::clone(&crowd), person.room, person.number));
                listeners.push(Arc::clone(&listener));
                tasks.spawn(task.chat(person, listener));
            }
        }
    }
    sleep_until(start + config.coming_time() + config.talking_time()).await;
    settle(&crowd, &listeners).await;
    leave.cancel();
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    account(&crowd, &listeners);
    Ok(())
}

/// What a listener has to have heard.
fn expected_of(crowd: &Crowd, heard: &Heard) -> u64 {
    heard.joined_at.map_or(0, |joined_at| crowd.accepted_after(heard.room, joined_at))
}

/// Waits until every listener has heard everything, for a while at most.
async fn settle(crowd: &Crowd, listeners: &[Arc<Listener>]) {
    let deadline = Instant::now() + SETTLE;
    let complete = || {
        listeners.iter().all(|listener| {
            let heard = listener.heard();
            heard.messages >= expected_of(crowd, &heard) && listener.under_way() == 0
        })
    };
    while !complete() && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Records what each listener got against what it had to get.
fn account(crowd: &Crowd, listeners: &[Arc<Listener>]) {
    let (mut expected, mut received, mut lost) = (0, 0, 0);
    let mut rooms: HashMap<Uuid, u64> = HashMap::new();
    let mut sums = super::ledger::Sums::default();
    for listener in listeners {
        let heard = listener.heard();
        let due = expected_of(crowd, &heard);
        let missing = due.saturating_sub(heard.messages);
        expected += due;
        received += heard.messages;
        lost += missing;
        *rooms.entry(heard.room).or_default() += missing;
        sums.add(&heard.sums);
    }
    let incomplete = rooms.values().filter(|missing| **missing > 0).count() as u64;
    crowd.recorder.with(0, |window| {
        for (name, count) in [
            ("chat.expected", expected),
            ("chat.received", received),
            ("chat.lost", lost),
            ("chat.gaps", sums.gaps),
            ("chat.duplicates", sums.duplicates),
            ("chat.reordered", sums.reordered),
            ("chat.rooms", rooms.len() as u64),
            ("chat.rooms_with_loss", incomplete),
        ] {
            window.count(name, count);
        }
    });
}

/// What a person's task needs.
struct Task {
    crowd: Arc<Crowd>,
    config: Config,
    gateways: Vec<String>,
    seed: u64,
    leave: CancellationToken,
}

impl Task {
    fn count(&self, person: &Person, name: &str) {
        self.crowd.recorder.with(person.number, |window| window.count(name, 1));
    }

    /// A reader, talker or commuter.
    async fn chat(self, person: Person, listener: Arc<Listener>) {
        sleep_until(person.comes).await;
        self.count(&person, "vusers.created");
        let tunnel = Duration::from_secs_f64(self.config.tunnel_seconds.clamp(0.01, 3600.0));
        let mut options = Options::new("", &person.token);
        options.gateways = (0..self.gateways.len())
            .map(|turn| self.gateways[(person.number + turn) % self.gateways.len()].clone())
            .collect();
        options.rooms = vec![person.room];
        options.keep = 1;
        options.observer = Some(Arc::<Listener>::clone(&listener) as _);
        if person.kind == Kind::Commuter {
            // Waits are drawn from the upper half of a span: three quarters of it on average.
            options.backoff = Backoff::new(tunnel.mul_f64(4.0 / 3.0), tunnel.mul_f64(4.0 / 3.0));
        }
        let client = Arc::new(Client::start(options));
        let talks = matches!(person.kind, Kind::Talker | Kind::Commuter);
        let talking = async {
            if talks {
                self.talk(&person, &client, &listener).await
            }
        };
        let travelling = async {
            if person.kind == Kind::Commuter {
                self.travel(&person, &client).await
            }
        };
        tokio::join!(talking, travelling);
        self.leave.cancelled().await;
        listener.stop();
        if let Ok(client) = Arc::try_unwrap(client) {
            client.close().await;
        }
        self.count(&person, "vusers.completed");
    }

    /// Says something at random times until it is time to leave.
    async fn talk(&self, person: &Person, client: &Arc<Client>, listener: &Arc<Listener>) {
        let times = Times::new(Arrivals::Poisson, self.config.messages_per_minute / 60.0, person.number, self.seed);
        // Nobody talks to a room that has not opened yet on their phone.
        if client.wait_live(PATIENCE).await.is_err() {
            return self.count(person, "errors.not joined");
        }
        let start = Instant::now();
        for (number, after) in times.enumerate() {
            let due = start + after;
            if due >= person.leaves {
                return;
            }
            sleep_until(due).await;
            let late = due.elapsed();
            self.crowd.recorder.with(person.number, |window| {
                window.count("chat.sent", 1);
                window.tick("chat.send_rate");
                window.record("generator.lateness", late.as_secs_f64() * 1000.0);
            });
            if listener.under_way() >= UNDER_WAY {
                self.count(person, "errors.too many messages under way");
                continue;
            }
            listener.sending(1);
            let (client, listener, crowd) = (Arc::clone(client), Arc::clone(listener), Arc::clone(&self.crowd));
            let message = Message {
                stamp: stamp(),
                sender: u32::try_from(person.number).unwrap_or(u32::MAX),
                number: u32::try_from(number).unwrap_or(u32::MAX),
            };
            let (text, room) = (message.text(self.config.text), person.room);
            tokio::spawn(async move {
                let outcome = client.send(room, text).await;
                let took = between(message.stamp, stamp()).as_secs_f64() * 1000.0;
                drop(client);
                if let Ok(sent) = &outcome {
                    lock(&crowd.accepted).entry(room).or_default().push(sent.seq);
                }
                crowd.recorder.with(message.sender as usize, |window| match &outcome {
                    Ok(_) => {
                        window.count("chat.acknowledged", 1);
                        window
                            .record(if listener.is_commuter() { "chat.ack_from_commuters" } else { "chat.ack" }, took);
                    }
                    Err(_) => window.count("chat.refused", 1),
                });
                listener.sending(-1);
            });
        }
    }

    /// Loses the connection at random times; the client comes back by itself after its wait.
    async fn travel(&self, person: &Person, client: &Client) {
        let mean = self.config.tunnel_every.max(0.1);
        let mut rng = StdRng::seed_from_u64(self.seed ^ (person.number as u64) << 20);
        loop {
            let ride = Duration::from_secs_f64(-mean * (1.0 - rng.random_range(0.0..1.0_f64)).ln());
            let next = Instant::now() + ride.max(Duration::from_millis(100));
            if next >= person.leaves {
                return;
            }
            sleep_until(next).await;
            client.cut().await;
            self.count(person, "chat.cuts");
        }
    }

    /// A slow phone or a lurker: one connection after another, without a client's memory.
    async fn keep_socket(self, person: Person) {
        sleep_until(person.comes).await;
        self.count(&person, "vusers.created");
        let slow = person.kind == Kind::Slow;
        let mut connections = 0_u64;
        while !self.leave.is_cancelled() {
            let life = async {
                let mut socket = self.open(&person, connections, slow).await?;
                loop {
                    socket.receive(|_| {}).await?;
                    if slow {
                        sleep(SLOW_READ).await;
                    }
                }
            };
            let ended = tokio::select! {
                ended = life => ended,
                () = self.leave.cancelled() => break,
            };
            connections += 1;
            let Err(ended): Result<(), crate::socket::Ended> = ended else { break };
            let whose = if slow { "slow_phones" } else { "lurkers" };
            self.count(&person, &format!("chat.closed_{whose}.{}", ended.code()));
            sleep(Duration::from_secs(1)).await;
        }
        self.count(&person, "vusers.completed");
    }

    async fn open(&self, person: &Person, again: u64, slow: bool) -> Result<Socket, crate::socket::Ended> {
        let began = stamp();
        let url = &self.gateways[(person.number + usize::try_from(again).unwrap_or(0)) % self.gateways.len()];
        let address = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
        let protocol = Protocol::mingizuk();
        let member = Member { name: String::new(), token: person.token.clone() };
        let room = person.room.to_string();
        let upgrade =
            Upgrade { receive_buffer: slow.then_some(SLOW_BUFFER), ..protocol.upgrade(address, &member, &room) };
        let open = async {
            let mut socket = Socket::open(&upgrade).await?;
            for step in &protocol.connect {
                super::load::take_step(&mut socket, &protocol, step, &member, &room).await?;
            }
            self.crowd.recorder.with(person.number, |window| {
                window.record("chat.connect_time", between(began, stamp()).as_secs_f64() * 1000.0);
            });
            if slow {
                for step in &protocol.subscribe {
                    super::load::take_step(&mut socket, &protocol, step, &member, &room).await?;
                }
            }
            Ok(socket)
        };
        let timeout = std::io::Error::from(std::io::ErrorKind::TimedOut);
        tokio::time::timeout(PATIENCE, open).await.unwrap_or(Err(timeout.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_a_kind() {
        let config = Config { talkers: 1, commuters: 1, readers: 2, slow: 1, lurkers: 1, ..Config::default() };
        let kinds: Vec<Kind> = (0..config.members()).map(|number| config.kind(number)).collect();
        assert_eq!(kinds, [Kind::Talker, Kind::Commuter, Kind::Reader, Kind::Reader, Kind::Slow, Kind::Lurker]);
    }

    #[test]
    fn scripts_may_leave_out_what_they_do_not_change() {
        let config: Config = serde_json::from_str(r#"{"rooms": 3, "coming": "push"}"#).expect("a configuration");
        assert_eq!(config, Config { rooms: 3, coming: Coming::Push, ..Config::default() });
        assert!(serde_json::from_str::<Config>(r#"{"romos": 3}"#).is_err());
        assert_eq!(config.coming_time(), Duration::from_secs(10));
    }
}
