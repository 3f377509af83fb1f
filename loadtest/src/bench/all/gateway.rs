//! Rows about the gateway: deliveries, growth, idle connections, connecting, idle rooms, Redis.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{task::JoinSet, time::sleep};

use super::Plan;
use crate::{
    bench::{
        Cost, PARALLEL, Target,
        figures::Figures,
        send, settle,
        subject::{self, Running, Shape, Subject, UNLIMITED},
        to_f64,
    },
    chat::{
        arrivals::Arrivals,
        load::{Load, PATIENCE, Scene, histogram, micros},
    },
    failure::{Failure, Outcome, within},
    servers::Sync,
    socket::Socket,
    system::{self, System},
};

/// How long idle connections are left alone before their memory is read.
const REST: Duration = Duration::from_secs(30);
/// Connections that come at the same time in a herd.
const HERD: usize = 200;
/// Rooms that one connection joins, where there are many rooms.
const ROOMS_EACH: usize = 50;
/// Rooms that are probed for being live again.
const PROBES: usize = 200;
/// How long a join may take while everyone joins.
const JOIN: Duration = Duration::from_secs(30);
/// How long a room may take to be live again.
const RETURN: Duration = Duration::from_secs(60);

impl Plan {
    async fn start(&self, subject: &Subject, (rooms, members, rate): (usize, usize, f64)) -> Outcome<Running> {
        self.starter.start(subject, Shape { rooms, members, rate, seed: 1 }).await
    }

    const fn load(&self, rate: f64) -> Load {
        let warm_up = Duration::from_secs(self.warm_up);
        Load {
            rate,
            arrivals: Arrivals::Poisson,
            text: 32,
            warm_up,
            measure: self.measure(),
            patience: PATIENCE,
            seed: 1,
        }
    }

    pub(super) async fn deliveries(
        &self,
        subject: &Subject,
        (rooms, members, rate): (usize, usize, f64),
    ) -> Outcome<Figures> {
        let shape = (self.some(rooms), members, rate);
        let running = self.start(subject, shape).await?;
        let idle = if subject.is_floor() { None } else { Some(self.redis_idle(&running).await?) };
        let cost = Cost::measure(&running, &self.load(shape.2)).await?;
        let mut figures = Figures::of_cost(&cost);
        if let Some(idle) = idle {
            figures.set("redis idle, % of a core", idle * 100.0);
            let messages = shape.0 as f64 * shape.2 * cost.measured.seconds;
            let without = (cost.seconds("redis") - idle * cost.measured.seconds).max(0.0);
            figures.set("redis µs a message", cost.seconds("redis") * 1e6 / messages.max(1.0));
            figures.set("redis µs a message, idle cost taken off", without * 1e6 / messages.max(1.0));
        } else {
            // The floor has no Redis, and its generator is the peers' without a sender.
            figures.set("redis µs a message", f64::NAN);
        }
        Ok(figures)
    }

    /// Cores that Redis uses while everybody is connected and nobody says anything.
    async fn redis_idle(&self, running: &Running) -> Outcome<f64> {
        let connected = running.scene.connect(1, PARALLEL).await?;
        let readers = read_all(connected.rooms.into_iter().flatten());
        settle(running).await?;
        let (before, began) = (running.meter.read()?, Instant::now());
        sleep(Duration::from_secs(self.seconds.clamp(1, 5))).await;
        let used = running.meter.read()?.cpu_since(&before, "redis");
        drop(readers);
        let idle = used.as_secs_f64() / began.elapsed().as_secs_f64();
        settle(running).await?;
        Ok(idle)
    }

    pub(super) async fn growth(
        &self,
        subject: &Subject,
        small: (usize, usize, f64),
        large: (usize, usize, f64),
    ) -> Outcome<Figures> {
        let (mut figures, mut micros, mut lost) = (Figures::default(), Vec::new(), 0);
        for (name, (rooms, members, rate)) in [("small", small), ("large", large)] {
            let shape = if rooms > 100 || members > 100 {
                // The quick form has fewer of what there are many of, at the same work.
                let (fewer_rooms, fewer_members) = (
                    if rooms > 100 { self.many(rooms) } else { rooms },
                    if members > 100 { self.many(members) } else { members },
                );
                (fewer_rooms, fewer_members, rate)
            } else {
                (rooms, members, rate)
            };
            let running = self.start(subject, shape).await?;
            let cost = Cost::measure(&running, &self.load(rate)).await?;
            figures.set(format!("{name}: server µs a delivery"), cost.micros_a_delivery("server"));
            micros.push(cost.micros_a_delivery("server"));
            lost += cost.measured.lost();
        }
        figures.set("large ÷ small", micros[1] / micros[0]);
        figures.set("lost", to_f64(lost));
        Ok(figures)
    }

    pub(super) async fn idle(&self, subject: &Subject) -> Outcome<Figures> {
        let connections = self.many(10_000);
        let running = self.start(subject, (connections / 200, 20, 0.0)).await?;
        let before = running.meter.read()?.memory("server");
        let mut figures = Figures::default();
        let each = |memory: u64| to_f64(memory.saturating_sub(before)) / connections as f64 / 1024.0;
        for round in 0..3 {
            let connected = running.scene.connect(10, PARALLEL).await?;
            if round == 0 {
                settle(&running).await?;
                figures.set("KiB a connection at first", each(running.meter.read()?.memory("server")));
            }
            drop(connected);
            settle(&running).await?;
        }
        let readers = read_all(running.scene.connect(10, PARALLEL).await?.rooms.into_iter().flatten());
        let early = running.meter.read()?;
        let rest = if self.part > 1 { self.measure() } else { REST };
        sleep(rest).await;
        let later = running.meter.read()?;
        figures.set("KiB a connection", each(later.memory("server")));
        let used = later.cpu_since(&early, "server").as_secs_f64() / rest.as_secs_f64();
        figures.set("µs of heartbeat a second", used * 1e6 / connections as f64);
        figures.set("connections", connections as f64);
        figures.set("closed", readers.ended());
        Ok(figures)
    }

    pub(super) async fn connect(&self, subject: &Subject) -> Outcome<Figures> {
        let running = self.start(subject, (self.some(20), 50, 0.0)).await?;
        drop(running.scene.connect(1, PARALLEL).await?);
        let (mut count, mut seconds, mut took) = (0, 0.0, histogram()?);
        let mut used: BTreeMap<&str, f64> = BTreeMap::new();
        for _ in 0..if self.part > 1 { 2 } else { 5 } {
            // What leaving costs is not what coming costs.
            settle(&running).await?;
            let (before, began) = (running.meter.read()?, Instant::now());
            let connected = running.scene.connect(1, PARALLEL).await?;
            seconds += began.elapsed().as_secs_f64();
            let after = running.meter.read()?;
            for group in after.names() {
                *used.entry(group).or_default() += after.cpu_since(&before, group).as_secs_f64();
            }
            count += connected.rooms.iter().map(Vec::len).sum::<usize>();
            took.add(&connected.took)?;
        }
        let mut figures = Figures::default();
        for (group, used) in used {
            figures.set(format!("{group} µs"), used * 1e6 / count as f64);
        }
        figures.set("connect p50 ms", to_f64(took.value_at_quantile(0.5)) / 1000.0);
        figures.set("connect p99 ms", to_f64(took.value_at_quantile(0.99)) / 1000.0);
        figures.set("connections a second", count as f64 / seconds);
        Ok(figures)
    }

    /// Everybody at once, without the settings that lift limits.
    pub(super) async fn herd(&self, subject: &Subject) -> Outcome<Figures> {
        let (rooms, members, times) = (self.many(10_000) / 200, 20, 10);
        let running = match subject {
            Subject::Mingizuk => {
                let longer = [("ACCESS_TOKEN_TTL", "86400000")];
                let system = System::start(&self.starter.mingizuk, 1, Sync::EverySecond, &longer).await?;
                let people = system.populate(rooms, members).await?;
                subject::of_system(system, people)?
            }
            _ => self.start(subject, (rooms, members, 0.0)).await?,
        };
        let scene = &running.scene;
        let seats = scene.rooms.iter().flat_map(|room| room.members.iter().map(move |member| (room, member)));
        let seats: Vec<_> = seats.flat_map(|seat| std::iter::repeat_n(seat, times)).collect();
        let began = Instant::now();
        let outcomes: Vec<Outcome<(Socket, Duration)>> = stream::iter(seats)
            .map(|(room, member)| async move {
                let began = Instant::now();
                Ok((scene.open(&scene.addresses[0], room, member).await?, began.elapsed()))
            })
            .buffer_unordered(HERD)
            .collect()
            .await;
        let seconds = began.elapsed().as_secs_f64();
        let mut took = histogram()?;
        for (_, time) in outcomes.iter().flatten() {
            took.saturating_record(micros(*time));
        }
        let mut figures = Figures::default();
        figures.set("refused", outcomes.iter().filter(|outcome| outcome.is_err()).count() as f64);
        figures.set("seconds until all were in", seconds);
        figures.set("connect p50 ms", to_f64(took.value_at_quantile(0.5)) / 1000.0);
        figures.set("connect p99 ms", to_f64(took.value_at_quantile(0.99)) / 1000.0);
        Ok(figures)
    }

    pub(super) async fn idle_rooms(&self) -> Outcome<Figures> {
        let crowd = Crowd::start(self, self.many(50_000)).await?;
        let mut sockets = crowd.connect().await?;
        settle(&crowd.running).await?;
        let before = crowd.running.meter.read()?.memory("server");
        crowd.join(&mut sockets).await?;
        settle(&crowd.running).await?;
        let rooms = crowd.rooms() as f64;
        let mut figures = Figures::default();
        let memory = crowd.running.meter.read()?.memory("server").saturating_sub(before);
        figures.set("KiB a room", to_f64(memory) / rooms / 1024.0);
        figures.set("rooms", rooms);
        Ok(figures)
    }

    pub(super) async fn presence(&self) -> Outcome<Figures> {
        let (mut figures, mut rates) = (Figures::default(), Vec::new());
        for (name, rooms) in [("100", 10), ("1,000", 100)] {
            let mut running = self.start(&Subject::Mingizuk, (rooms, 10, 0.0)).await?;
            let readers = read_all(running.scene.connect(1, PARALLEL).await?.rooms.into_iter().flatten());
            settle(&running).await?;
            let before = commands(running.system()?).await?;
            let began = Instant::now();
            sleep(self.measure()).await;
            // The two questions are commands as well.
            let count = commands(running.system()?).await?.saturating_sub(before + 1);
            rates.push(to_f64(count) / began.elapsed().as_secs_f64());
            figures.set(format!("commands a second, {name} connections"), rates[rates.len() - 1]);
            drop(readers);
        }
        figures.set("ratio", rates[1] / rates[0]);
        Ok(figures)
    }

    pub(super) async fn redis_returns(&self) -> Outcome<Figures> {
        let mut crowd = Crowd::start(self, self.many(50_000)).await?;
        let mut sockets = crowd.connect().await?;
        crowd.join(&mut sockets).await?;
        let rooms = crowd.rooms();
        let system = crowd.running.system()?;
        system.redis.kill().await?;
        sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        system.redis.restart().await?;
        let seconds = crowd.until_live(sockets, began).await?;
        let mut figures = Figures::default();
        figures.set("seconds until every probed room is live", seconds);
        figures.set("rooms", rooms as f64);
        figures.set("rooms probed", PROBES.min(crowd.people.len()) as f64);
        Ok(figures)
    }

    pub(super) async fn send(&self) -> Outcome<Figures> {
        let target = Target {
            mingizuk: self.starter.mingizuk.clone(),
            gateways: 1,
            settings: Vec::new(),
            gateway: Vec::new(),
            pid: Vec::new(),
            tokens: None,
        };
        let (seconds, warm_up) = (self.seconds, self.warm_up);
        let report = send::Send { target, rooms: 100, members: 1, window: 16, seconds, warm_up }.run().await?;
        let mut figures = Figures::default();
        for (name, of) in [
            ("acknowledged a second", "acknowledged a second"),
            ("server µs a send", "gateway µs of cpu a send"),
            ("ack p50 ms", "acknowledged after p50 ms"),
            ("ack p99 ms", "acknowledged after p99 ms"),
            ("redis cores", "redis cores used"),
        ] {
            figures.set(name, report.number(of).unwrap_or(f64::NAN));
        }
        Ok(figures)
    }
}

/// Tasks that read from connections and drop what comes, until this is dropped.
struct Readers(JoinSet<()>);

fn read_all(sockets: impl Iterator<Item = Socket>) -> Readers {
    let mut tasks = JoinSet::new();
    for mut socket in sockets {
        tasks.spawn(async move { while socket.receive(|_| {}).await.is_ok() {} });
    }
    Readers(tasks)
}

impl Readers {
    /// Connections that have ended by themselves.
    fn ended(mut self) -> f64 {
        let mut ended = 0.0;
        while self.0.try_join_next().is_some() {
            ended += 1.0;
        }
        ended
    }
}

/// Commands that a Redis has carried out since its start.
async fn commands(system: &System) -> Outcome<u64> {
    let stats = system.redis.command("INFO stats").await?;
    let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    Ok(line.ok_or_else(|| Failure::new("INFO stats names no commands"))?.trim().parse()?)
}

/// Pairs of people with many rooms in common.
struct Crowd {
    running: Running,
    /// Each pair and its rooms.
    people: Vec<(system::Room, Vec<uuid::Uuid>)>,
}

impl Crowd {
    async fn start(plan: &Plan, rooms: usize) -> Outcome<Self> {
        // Nobody reads while the others join: without this the gateway would close them as dead.
        let patient = [("HEARTBEAT", "3600000")];
        let settings: Vec<(&str, &str)> = UNLIMITED.into_iter().chain(patient).collect();
        let system = System::start(&plan.starter.mingizuk, 1, Sync::EverySecond, &settings).await?;
        let pairs = system.populate(rooms.div_ceil(ROOMS_EACH), 2).await?;
        let rest = system.rest()?;
        let people: Vec<(system::Room, Vec<uuid::Uuid>)> = stream::iter(pairs)
            .map(|pair| async {
                let mut shared = vec![pair.id];
                while shared.len() < ROOMS_EACH {
                    let id = rest.by(&pair.members[0]).open_meetup("둘이서 스트레칭").await?;
                    rest.by(&pair.members[1]).join(id).await?;
                    shared.push(id);
                }
                Ok::<_, Failure>((pair, shared))
            })
            .buffer_unordered(16)
            .try_collect()
            .await?;
        let rooms = people.iter().map(|(pair, _)| pair.clone()).collect();
        Ok(Self { running: subject::of_system(system, rooms)?, people })
    }

    fn rooms(&self) -> usize {
        self.people.iter().map(|(_, rooms)| rooms.len()).sum()
    }

    /// A connection of everyone, in no room yet.
    async fn connect(&self) -> Outcome<Vec<[Socket; 2]>> {
        let scene = Scene { protocol: std::sync::Arc::new(self.without_subscription()), ..self.running.scene.clone() };
        let connected = scene.connect(1, PARALLEL).await?;
        connected.rooms.into_iter().map(|pair| pair.try_into().map_err(|_| Failure::new("a pair has two"))).collect()
    }

    fn without_subscription(&self) -> crate::chat::protocol::Protocol {
        crate::chat::protocol::Protocol { subscribe: Vec::new(), ..(*self.running.scene.protocol).clone() }
    }

    /// Joins everyone to all rooms that they have.
    async fn join(&self, sockets: &mut [[Socket; 2]]) -> Outcome {
        let joins = sockets
            .iter_mut()
            .zip(&self.people)
            .flat_map(|(pair, (_, rooms))| pair.iter_mut().map(move |socket| (socket, rooms)));
        stream::iter(joins)
            .map(|(socket, rooms)| async move {
                for (index, room) in rooms.iter().enumerate() {
                    let id = index + 1;
                    socket.sender().send(&format!(r#"{{"type":"join","id":{id},"room":"{room}"}}"#)).await?;
                    let answer = format!(r#","id":{id},"#);
                    let answer = within(JOIN, "joined", socket.until(answer.as_bytes())).await??;
                    if !answer.starts_with(br#"{"type":"joined""#) {
                        return Err(Failure::new(String::from_utf8_lossy(&answer)));
                    }
                }
                Ok::<_, Failure>(())
            })
            .buffer_unordered(PARALLEL)
            .try_collect()
            .await
    }

    /// Seconds until a message in a room of each probed pair has reached the other. A refused message is sent again.
    async fn until_live(&self, sockets: Vec<[Socket; 2]>, began: Instant) -> Outcome<f64> {
        let mut probes = JoinSet::new();
        for ([mut speaker, mut hearer], (_, rooms)) in sockets.into_iter().zip(&self.people).take(PROBES) {
            let room = rooms[rooms.len() - 1];
            probes.spawn(async move {
                let speak = async {
                    for id in 1000_u64.. {
                        let text = format!(
                            r#"{{"type":"send","id":{id},"room":"{room}","nonce":"back","text":"다시 왔어요"}}"#
                        );
                        speaker.sender().send(&text).await?;
                        let answer = speaker.until(format!(r#""id":{id}"#).as_bytes()).await?;
                        if answer.starts_with(br#"{"type":"ack""#) {
                            break;
                        }
                        sleep(Duration::from_millis(50)).await;
                    }
                    Ok::<_, Failure>(())
                };
                let hear = async { hearer.until("다시 왔어요".as_bytes()).await.map_err(Failure::from) };
                let both = async { tokio::try_join!(speak, hear) };
                within(RETURN, "a message after Redis came back", both).await??;
                Ok::<_, Failure>(began.elapsed().as_secs_f64())
            });
        }
        let mut last = 0.0_f64;
        while let Some(probe) = probes.join_next().await {
            last = last.max(probe??);
        }
        Ok(last)
    }
}
