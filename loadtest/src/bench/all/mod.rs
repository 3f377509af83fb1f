//! Every figure of docs/performance.md by one command: each row in alternating rounds beside the floor and the peers,
//! medians with their spread, written into the documents between their marks.

mod document;
mod gateway;
mod rows;
mod service;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use serde_json::json;

use self::rows::{Beside, Kind, ROWS, Row};
use super::{
    figures::{Figures, Series},
    store::{Store, StoreBench},
    subject::{Starter, Subject},
};
use crate::{
    chat::arrivals::Arrivals,
    failure::{Failure, Outcome, While},
    process,
    servers::Peer,
};

/// Seconds that starting, connecting and draining take around a measured time, about.
const AROUND: u64 = 12;

/// Measure every row of docs/performance.md.
#[derive(Args, Clone, Debug)]
pub struct All {
    /// The program.
    #[arg(long, default_value = "target/release/mingizuk")]
    mingizuk: PathBuf,
    /// The folder with the peers, one in each folder of it.
    #[arg(long, default_value = "loadtest/peers")]
    peers: PathBuf,
    /// One more peer: a folder with a `peer.toml`.
    #[arg(long, value_name = "FOLDER")]
    peer: Vec<PathBuf>,
    /// Where peers are installed.
    #[arg(long, default_value = "target/peers")]
    cache: PathBuf,
    /// Measure without peers.
    #[arg(long)]
    alone: bool,
    /// Rows to measure; all if absent.
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Print the rows, and how long they take.
    #[arg(long)]
    list: bool,
    /// Alternating rounds of each row.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds to measure each load.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds of load before measuring.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// One short round with a tenth of the connections, rooms and people: shows that every row runs, no more.
    #[arg(long)]
    quick: bool,
    /// Write the tables into docs/performance.md and README.md, between their marks.
    #[arg(long)]
    write: bool,
    /// File for every figure of every round.
    #[arg(long, default_value = "target/bench-all.json")]
    json: PathBuf,
}

/// How much of everything is measured.
#[derive(Clone, Debug)]
struct Plan {
    starter: Starter,
    seconds: u64,
    warm_up: u64,
    /// Divides connections, rooms and people where they are many.
    part: usize,
}

/// What was measured of a row.
#[derive(Clone, Debug)]
struct Measured {
    row: Row,
    series: Vec<Series>,
    /// Why a subject has no figures.
    failures: Vec<String>,
}

impl All {
    pub(super) async fn run(mut self) -> Outcome {
        process::raise_open_files();
        if self.quick {
            (self.rounds, self.seconds, self.warm_up) = (1, self.seconds.min(2), 1);
        }
        let rows = self.rows()?;
        let peers = if self.alone { Vec::new() } else { self.peers()? };
        let total: u64 = rows.iter().map(|row| self.estimate(row, peers.len())).sum();
        if self.list {
            for row in &rows {
                println!("{:18} {:>4} s  {}", row.name, self.estimate(row, peers.len()), row.title);
            }
            println!("about {} min in all, after the peers are installed", total.div_ceil(60));
            return Ok(());
        }
        eprintln!("{} rows, {} rounds each: about {} min", rows.len(), self.rounds, total.div_ceil(60));
        for peer in &peers {
            peer.install().await?;
        }
        let mut measured = Vec::new();
        for row in rows {
            measured.push(self.measure(row, &peers).await);
            // What was measured so far survives whatever comes next.
            self.save(&measured)?;
        }
        let conditions = self.conditions(&peers).await;
        println!("{}", document::tables(&measured, &conditions));
        if self.write {
            document::write("docs/performance.md", &document::tables(&measured, &conditions))?;
            document::write("README.md", &document::short_table(&measured))?;
        }
        let failures: Vec<&str> = measured.iter().flat_map(|row| &row.failures).map(String::as_str).collect();
        if failures.is_empty() { Ok(()) } else { Err(Failure::new(failures.join("\n"))) }
    }

    fn rows(&self) -> Outcome<Vec<Row>> {
        if let Some(unknown) = self.only.iter().find(|name| !ROWS.iter().any(|row| row.name == name.as_str())) {
            let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            return Err(Failure::new(format!("no row {unknown}; there are {}", names.join(", "))));
        }
        let wanted = |row: &Row| self.only.is_empty() || self.only.iter().any(|name| name == row.name);
        Ok(ROWS.into_iter().filter(wanted).collect())
    }

    fn peers(&self) -> Outcome<Vec<Arc<Peer>>> {
        let mut folders: Vec<PathBuf> = fs::read_dir(&self.peers)
            .doing(self.peers.display())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|folder| folder.join("peer.toml").is_file())
            .collect();
        folders.sort();
        folders.extend(self.peer.iter().cloned());
        folders.iter().map(|folder| Peer::read(folder, &self.cache).map(Arc::new)).collect()
    }

    /// Seconds that a row takes, about.
    fn estimate(&self, row: &Row, peers: usize) -> u64 {
        let (peers, rounds) = (peers as u64, self.rounds.max(1) as u64);
        let load = self.seconds + self.warm_up + AROUND;
        let part = if self.quick { 10 } else { 1 };
        let round = match row.kind {
            Kind::Deliveries { beside: Beside::Peers, .. } => load * (3 + peers),
            Kind::Deliveries { beside: Beside::Floor, .. } => load * 3,
            Kind::Growth { .. } => load * 2 + 60 / part,
            Kind::Idle => (90 / part + AROUND) * (1 + peers),
            Kind::Connect | Kind::Herd => (30 / part + AROUND) * (1 + peers),
            Kind::Rooms | Kind::Return => 240 / part + AROUND,
            Kind::Presence => 2 * (self.seconds + AROUND),
            Kind::Send | Kind::Completion => load,
            Kind::Rest => 180 / part + 10 * (self.seconds + self.warm_up) + AROUND,
            Kind::Store => 2 * (load + self.seconds + self.warm_up),
            Kind::Ready => 5,
        };
        round * rounds
    }

    fn plan(&self) -> Plan {
        let starter = Starter { mingizuk: self.mingizuk.clone(), gateways: 1, settings: Vec::new() };
        let part = if self.quick { 10 } else { 1 };
        Plan { starter, seconds: self.seconds, warm_up: self.warm_up, part }
    }

    /// All rounds of one row. A subject that fails is left out and named.
    async fn measure(&self, row: Row, peers: &[Arc<Peer>]) -> Measured {
        let subjects = subjects(row.kind, peers);
        let mut series: Vec<Series> = subjects.iter().map(|(name, _)| Series::new(name)).collect();
        let (plan, mut failures) = (self.plan(), Vec::new());
        for round in 0..self.rounds.max(1) {
            for turn in 0..subjects.len() {
                // Whoever went first goes last in the next round.
                let place = (round + turn) % subjects.len();
                let (name, subject) = &subjects[place];
                eprintln!("{}, round {} of {}: {name}", row.name, round + 1, self.rounds);
                match plan.figures(row.kind, subject).await {
                    Ok(figures) => series[place].add(figures),
                    Err(failure) => {
                        eprintln!("{name}: {failure}");
                        failures.push(format!("{}: {name}: {failure}", row.name));
                        // A round that is missing would shift the ratios of those after it.
                        series[place].add(Figures::default());
                    }
                }
            }
        }
        add_floor_ratios(&mut series);
        Measured { row, series, failures }
    }

    fn save(&self, measured: &[Measured]) -> Outcome {
        let rows: Vec<serde_json::Value> = measured
            .iter()
            .map(|of| {
                let series: Vec<serde_json::Value> = of.series.iter().map(Series::json).collect();
                json!({"row": of.row.name, "title": of.row.title, "goal": of.row.goal, "series": series, "failures": of.failures})
            })
            .collect();
        let all = json!({"machine": super::machine(), "seconds": self.seconds, "rounds": self.rounds, "rows": rows});
        fs::write(&self.json, serde_json::to_string_pretty(&all)?).doing(self.json.display())
    }

    async fn conditions(&self, peers: &[Arc<Peer>]) -> Vec<String> {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
        let mut lines = vec![
            format!(
                "{}, Linux {}, TCP congestion control {}, load average at the end {}.",
                super::machine(),
                kernel.trim(),
                congestion.trim(),
                load.split(' ').take(3).collect::<Vec<_>>().join(" ")
            ),
            format!(
                "Medians of {} alternating rounds (smallest–largest); {} s measured after {} s of the same load. Arrivals are \
                 independent for each room (Poisson). Texts of 32 characters. Every server is started anew for each round.",
                self.rounds, self.seconds, self.warm_up
            ),
        ];
        if self.quick {
            lines.push("**Quick form: shows that every row runs; its figures say nothing.**".to_owned());
        }
        for peer in peers {
            lines.push(format!("{}: {}.", peer.description.name, peer.version().await));
        }
        lines
    }
}

/// What one row is measured on.
enum On {
    Subject(Subject),
    Store(Store),
}

fn subjects(kind: Kind, peers: &[Arc<Peer>]) -> Vec<(String, On)> {
    let floors = [Subject::Floor(Arrivals::Together), Subject::Floor(Arrivals::Poisson)];
    let peers = || peers.iter().map(|peer| Subject::Peer(Arc::clone(peer)));
    let subjects: Vec<Subject> = match kind {
        Kind::Deliveries { beside: Beside::Peers, .. } => {
            floors.into_iter().chain([Subject::Mingizuk]).chain(peers()).collect()
        }
        Kind::Deliveries { .. } => floors.into_iter().chain([Subject::Mingizuk]).collect(),
        Kind::Idle | Kind::Connect | Kind::Herd => std::iter::once(Subject::Mingizuk).chain(peers()).collect(),
        Kind::Store => return Store::BOTH.map(|store| (store.name().to_owned(), On::Store(store))).into(),
        _ => vec![Subject::Mingizuk],
    };
    subjects.into_iter().map(|subject| (subject.name().to_owned(), On::Subject(subject))).collect()
}

/// Processor time of a delivery as a multiple of the floor's in the same round.
fn add_floor_ratios(series: &mut [Series]) {
    for (floor, name) in [
        (Subject::Floor(Arrivals::Poisson), "× independent writes"),
        (Subject::Floor(Arrivals::Together), "× writes together"),
    ] {
        if let Some(base) = series.iter().find(|one| one.name == floor.name()).cloned() {
            for one in series.iter_mut() {
                one.add_ratios(&base, "server µs a delivery", name);
            }
        }
    }
}

impl Plan {
    async fn figures(&self, kind: Kind, on: &On) -> Outcome<Figures> {
        let subject = match on {
            On::Subject(subject) => subject,
            On::Store(store) => return self.store().measure(*store).await,
        };
        match kind {
            Kind::Deliveries { rooms, members, rate, .. } => self.deliveries(subject, (rooms, members, rate)).await,
            Kind::Growth { small, large } => self.growth(subject, small, large).await,
            Kind::Idle => self.idle(subject).await,
            Kind::Connect => self.connect(subject).await,
            Kind::Herd => self.herd(subject).await,
            Kind::Rooms => self.idle_rooms().await,
            Kind::Presence => self.presence().await,
            Kind::Return => self.redis_returns().await,
            Kind::Send => self.send().await,
            Kind::Rest => self.rest().await,
            Kind::Completion => self.completion().await,
            Kind::Store => Err(Failure::new("measured by its own command")),
            Kind::Ready => self.ready().await,
        }
    }

    fn store(&self) -> StoreBench {
        StoreBench {
            mingizuk: self.starter.mingizuk.clone(),
            rooms: self.some(20),
            members: 50,
            rate: 20.0,
            pages: 500,
            seconds: self.seconds,
            warm_up: self.warm_up,
            rounds: 1,
        }
    }

    /// A number of many, or the quick form's part of it.
    fn many(&self, count: usize) -> usize {
        (count / self.part).max(1)
    }

    /// A number of rooms, or in the quick form a quarter of it.
    const fn some(&self, rooms: usize) -> usize {
        if self.part > 1 { rooms.div_ceil(4) } else { rooms }
    }

    const fn measure(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_floor_of_the_same_round() {
        let figures = |micros: f64| {
            let mut figures = Figures::default();
            figures.set("server µs a delivery", micros);
            figures
        };
        let mut floor = Series::new(Subject::Floor(Arrivals::Poisson).name());
        let mut ours = Series::new("mingizuk");
        for (a, b) in [(4.0, 6.0), (8.0, 8.0)] {
            floor.add(figures(a));
            ours.add(figures(b));
        }
        let mut series = vec![floor, ours];
        add_floor_ratios(&mut series);
        assert_eq!(series[1].values("× independent writes"), [1.5, 1.0]);
        assert!(series[1].values("× writes together").is_empty());
    }
}
