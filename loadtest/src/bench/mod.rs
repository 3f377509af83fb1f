//! Measuring a gateway: what a delivery, an idle connection, a connect and a send cost it.
//!
//! The generator runs on the same machine and the same clock: a message carries the time it was sent at, every receiver
//! takes the time it arrived, and what arrived is compared with what was acknowledged. The gateway's own cost is what
//! the system charged its process.

mod all;
mod connect;
mod fanout;
mod figures;
mod floor;
mod idle;
pub mod raw;
mod ready;
pub mod report;
mod send;
mod store;
pub mod subject;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use uuid::Uuid;

pub(crate) use self::{
    fanout::Cost,
    report::{add_percentiles, machine, to_f64},
};
pub use self::{floor::Floor, ready::Ready};
use self::{
    report::Report,
    subject::{Running, Shape, Starter, Subject},
};
use crate::{
    chat::{load::Scene, protocol::Protocol},
    failure::{Failure, Outcome, within},
    process::{self, Meter},
    rest::User,
    system::Room,
};

/// How long a program may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections being opened at a time.
const PARALLEL: usize = 64;

/// What to measure.
#[derive(Subcommand)]
pub enum Bench {
    /// Messages to rooms of many: processor time and latency of a delivery.
    Fanout(fanout::Fanout),
    /// Connections that do nothing: memory of each, and what their heartbeat costs.
    Idle(idle::Idle),
    /// Connecting, authenticating and joining: processor time of each.
    Connect(connect::Connect),
    /// Messages as fast as they are acknowledged: rate and processor time of each.
    Send(send::Send),
    /// Rooms in Redis against rooms in MariaDB: the same chat script on both.
    Store(store::StoreBench),
    /// Every figure of docs/performance.md, beside the floor and the peers.
    All(all::All),
}

impl Bench {
    /// Measures and prints.
    ///
    /// # Errors
    /// When the system does not start or work.
    pub async fn run(self) -> Outcome {
        process::raise_open_files();
        let program = match &self {
            Self::Fanout(fanout::Fanout { target, .. })
            | Self::Idle(idle::Idle { target, .. })
            | Self::Connect(connect::Connect { target, .. })
            | Self::Send(send::Send { target, .. }) => Some(target.program()),
            Self::Store(_) | Self::All(_) => None,
        };
        let mut report = match self {
            Self::Fanout(bench) => bench.run().await?,
            Self::Idle(bench) => bench.run().await?,
            Self::Connect(bench) => bench.run().await?,
            Self::Send(bench) => bench.run().await?,
            Self::Store(bench) => return bench.run().await,
            Self::All(bench) => return bench.run().await,
        };
        if let Some(program) = program {
            report.add("program", version(&program).await?);
        }
        report.print();
        Ok(())
    }
}

/// What is measured: a system started for it, or a running gateway.
#[derive(Args)]
pub struct Target {
    /// The program: MariaDB, Redis, a REST service and gateways are started for the measurement.
    #[arg(long, default_value = "target/release/mingizuk")]
    mingizuk: PathBuf,
    /// Gateways to start.
    #[arg(long, default_value_t = 1)]
    gateways: usize,
    /// A setting of the started services, such as QUEUE_FRAMES=4096.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Measure gateways that run already (host:port); needs --pid and --tokens.
    #[arg(long, value_name = "HOST:PORT", requires_all = ["pid", "tokens"])]
    gateway: Vec<String>,
    /// The process of each --gateway.
    #[arg(long)]
    pid: Vec<u32>,
    /// The people: the file that `mingizuk demo-data --tokens` wrote.
    #[arg(long)]
    tokens: Option<PathBuf>,
}

impl Target {
    /// The program that is measured.
    fn program(&self) -> PathBuf {
        self.pid.first().map_or_else(|| self.mingizuk.clone(), |pid| PathBuf::from(format!("/proc/{pid}/exe")))
    }

    /// Starts what is to be measured, or reads who is to be measured elsewhere.
    ///
    /// # Errors
    /// When a part does not become ready, or the token file has too few people.
    pub async fn prepare(&self, rooms: usize, members: usize) -> Outcome<Running> {
        if let Some(tokens) = &self.tokens {
            let rooms = read_tokens(&std::fs::read_to_string(tokens)?, rooms, members)?;
            let scene = Scene {
                protocol: Arc::new(Protocol::mingizuk()),
                addresses: self.gateway.clone(),
                rooms: rooms.iter().map(subject::seats).collect(),
            };
            let meter = self.pid.iter().fold(Meter::default(), |meter, pid| meter.with("server", *pid));
            return Ok(Running::elsewhere(scene, rooms, meter));
        }
        let mut settings = Vec::new();
        for setting in &self.settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| Failure::new("--set takes NAME=VALUE"))?;
            settings.push((name.to_owned(), value.to_owned()));
        }
        let starter = Starter { mingizuk: self.mingizuk.clone(), gateways: self.gateways, settings };
        starter.start(&Subject::Mingizuk, Shape { rooms, members, rate: 0.0, seed: 1 }).await
    }
}

/// What a program says of itself with `--version`: its version and the profile of its build.
async fn version(program: &Path) -> Outcome<String> {
    let mut program = tokio::process::Command::new(program);
    let answer = within(VERSION_TIMEOUT, "the version", program.arg("--version").kill_on_drop(true).output()).await??;
    Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

/// The rooms of a token file with at least `members` people, `rooms` of them.
fn read_tokens(csv: &str, rooms: usize, members: usize) -> Outcome<Vec<Room>> {
    let mut found: BTreeMap<Uuid, Vec<User>> = BTreeMap::new();
    for line in csv.lines().skip(1) {
        let [id, nickname, token, room] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(Failure::new(format!("not user_id,nickname,access_token,room_id: {line}")));
        };
        let user = User {
            id: id.parse()?,
            nickname: nickname.to_owned(),
            token: token.to_owned(),
            refresh_token: String::new(),
        };
        found.entry(room.parse()?).or_default().push(user);
    }
    let take = |(id, mut people): (Uuid, Vec<User>)| {
        people.truncate(members);
        (people.len() == members).then_some(Room { id, members: people })
    };
    let found: Vec<Room> = found.into_iter().filter_map(take).take(rooms).collect();
    if found.len() == rooms {
        Ok(found)
    } else {
        Err(Failure::new(format!("the token file has {} rooms of {members}, not {rooms}", found.len())))
    }
}

/// Waits until a subject has nothing to do any more: a quarter of a second in which it hardly ran.
pub(crate) async fn settle(running: &Running) -> Outcome {
    for _ in 0..120 {
        let before = running.meter.read()?;
        tokio::time::sleep(Duration::from_millis(250)).await;
        if running.meter.read()?.cpu_since(&before, "server") <= Duration::from_millis(10) {
            return Ok(());
        }
    }
    Err(Failure::new("the servers do not come to rest"))
}

/// Adds the conditions of a measurement.
pub(crate) fn describe(running: &Running, report: &mut Report) {
    let rooms = &running.scene.rooms;
    report.add("gateways", running.scene.addresses.len());
    report.add("rooms", rooms.len());
    report.add("members of a room", rooms.first().map_or(0, |room| room.members.len()));
    report.add("machine", machine());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_files_give_rooms_of_the_size_asked_for() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let csv = format!("user_id,nickname,access_token,room_id\n{a},밍기,t1,{a}\n{b},무너,t2,{a}\n{b},무너,t2,{b}\n");
        let rooms = read_tokens(&csv, 1, 2).expect("a room of two");
        assert_eq!((rooms[0].id, rooms[0].members[1].token.as_str()), (a, "t2"));
        assert!(read_tokens(&csv, 2, 2).is_err() && read_tokens("head\nnonsense", 1, 1).is_err());
    }
}
