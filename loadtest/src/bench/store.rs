//! Room log in Redis against room log in MariaDB: the same chat script on both, alternating.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;

use super::{
    fanout::Cost,
    figures::{Figures, Series, markdown},
    subject::{self, UNLIMITED},
};
use crate::{
    chat::{
        arrivals::Arrivals,
        load::{Load, PATIENCE, Scene},
        protocol::Protocol,
    },
    failure::Outcome,
    process::Meter,
    rest::Rest,
    rest_load::{Read, RestLoad},
    servers::{MariaDb, Redis, Role, Setup, Sync},
    system,
};

/// The figures that the table shows, in its order.
const SHOWN: [&str; 14] = [
    "ack p50 ms",
    "ack p95 ms",
    "ack p99 ms",
    "delivery p50 ms",
    "delivery p95 ms",
    "delivery p99 ms",
    "deliveries a second",
    "server µs a delivery",
    "stores µs a delivery",
    "history p50 ms",
    "history p95 ms",
    "history p99 ms",
    "pages a second",
    "server µs a page",
];

/// Compare rooms in Redis with rooms in MariaDB.
#[derive(Args, Clone, Debug)]
pub struct StoreBench {
    /// The program.
    #[arg(long, default_value = "target/release/mingizuk")]
    pub(super) mingizuk: PathBuf,
    /// Rooms.
    #[arg(long, default_value_t = 20)]
    pub(super) rooms: usize,
    /// Members of each room.
    #[arg(long, default_value_t = 50)]
    pub(super) members: usize,
    /// Messages a second in each room.
    #[arg(long, default_value_t = 20.0)]
    pub(super) rate: f64,
    /// Pages of history a second.
    #[arg(long, default_value_t = 500)]
    pub(super) pages: u64,
    /// Seconds to measure each of the two.
    #[arg(long, default_value_t = 15)]
    pub(super) seconds: u64,
    /// Seconds before measuring.
    #[arg(long, default_value_t = 5)]
    pub(super) warm_up: u64,
    /// Alternating rounds.
    #[arg(long, default_value_t = 3)]
    pub(super) rounds: usize,
}

/// Where the rooms are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    MariaDb,
    Redis,
}

impl Store {
    pub(super) const BOTH: [Self; 2] = [Self::MariaDb, Self::Redis];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "rooms in MariaDB",
            Self::Redis => "rooms in Redis",
        }
    }

    const fn setting(self) -> &'static str {
        match self {
            Self::MariaDb => "sql",
            Self::Redis => "redis",
        }
    }
}

impl StoreBench {
    pub(super) async fn run(self) -> Outcome {
        let mut series: Vec<Series> = Store::BOTH.map(|store| Series::new(store.name())).into();
        for round in 0..self.rounds.max(1) {
            for turn in 0..2 {
                // Who goes first changes, so that neither is favoured by what the machine does meanwhile.
                let place = (round + turn) % 2;
                eprintln!("round {} of {}: {}", round + 1, self.rounds, series[place].name);
                series[place].add(self.measure(Store::BOTH[place]).await?);
            }
        }
        println!("{}", markdown(&series, &SHOWN, Some(Store::MariaDb.name())));
        println!(
            "{} rooms of {}, {} messages a second in each, {} pages a second; medians of {} rounds of {} s. {}",
            self.rooms,
            self.members,
            self.rate,
            self.pages,
            self.rounds,
            self.seconds,
            super::machine()
        );
        Ok(())
    }

    /// One round on one store: chat, then pages of the history that it left.
    pub(super) async fn measure(&self, store: Store) -> Outcome<Figures> {
        let folder = tempfile::Builder::new().prefix("mingizuk-store-").tempdir()?;
        let (redis, mariadb) = tokio::join!(Redis::start(Sync::EverySecond), MariaDb::start());
        let (redis, mut mariadb) = (redis?, mariadb?);
        let setup = Setup::shared(self.mingizuk.canonicalize()?, folder.path(), &mariadb.url(), &redis.url());
        let setup = UNLIMITED.iter().fold(setup, |setup, (name, value)| setup.with(name, *value));
        let setup = setup.with("ROOM_STORE", store.setting());
        setup.migrate().await?;
        let mut service = setup.start(Role::AllInOne).await?;
        let rooms = system::populate(&Rest::new(service.api()?)?, self.rooms, self.members).await?;
        let pid = service.program().pid()?;
        let scene = Scene {
            protocol: Arc::new(Protocol::mingizuk()),
            addresses: vec![subject::address(service.gateway()?)],
            rooms: rooms.iter().map(subject::seats).collect(),
        };
        let meter =
            Meter::default().with("server", pid).with("redis", redis.pid()?).with("database", mariadb.program().pid()?);
        let load = Load {
            rate: self.rate,
            arrivals: Arrivals::Poisson,
            text: 32,
            warm_up: Duration::from_secs(self.warm_up),
            measure: Duration::from_secs(self.seconds),
            patience: PATIENCE,
            seed: 1,
        };
        let cost = Cost::measure_scene(&scene, &meter, &load).await?;
        let mut figures = Figures::of_cost(&cost);
        figures.set("stores µs a delivery", cost.micros_a_delivery("redis") + cost.micros_a_delivery("database"));
        let tokens = folder.path().join("tokens.csv");
        std::fs::write(&tokens, token_file(&rooms))?;
        let pages = RestLoad::of(pid, service.api()?, &tokens, self.pages, self.seconds, self.warm_up);
        let report = pages.reading(Read::Room).figures().await?;
        for (name, of) in [
            ("history p50 ms", "room p50 ms"),
            ("history p95 ms", "room p95 ms"),
            ("history p99 ms", "room p99 ms"),
            ("pages a second", "room answers a second"),
            ("server µs a page", "room server µs of cpu"),
        ] {
            figures.set(name, report.number(of).unwrap_or(f64::NAN));
        }
        Ok(figures)
    }
}

/// People and their rooms as `mingizuk demo-data --tokens` writes them.
pub(super) fn token_file(rooms: &[system::Room]) -> String {
    let lines = rooms.iter().flat_map(|room| {
        room.members.iter().map(move |user| format!("{},{},{},{}\n", user.id, user.nickname, user.token, room.id))
    });
    std::iter::once("user_id,nickname,access_token,room_id\n".to_owned()).chain(lines).collect()
}
