//! What reading over REST costs: latency at a fixed rate, and the server's processor time of a request.
//!
//! Requests have fixed times to be sent at. One that finds every connection busy is sent late, and its latency counts
//! from its time all the same: a slow server cannot hide behind a generator that waits for it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    bench::report::{Report, add_percentiles, machine, to_f64},
    chat::load::histogram,
    failure::{Failure, Outcome},
    process,
    rest::http_client,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads at a fixed rate: latency and the server's processor time.
#[derive(Args)]
pub struct RestLoad {
    /// The process of the REST service.
    #[arg(long)]
    pid: u32,
    /// The REST service, such as http://127.0.0.1:8080.
    #[arg(long)]
    url: String,
    /// The people: the file that `mingizuk demo-data --tokens` wrote.
    #[arg(long)]
    tokens: PathBuf,
    /// Requests a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Seconds to measure each read.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Seconds to read before measuring.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Requests under way at a time, at most.
    #[arg(long, default_value_t = 10)]
    connections: usize,
    /// What to read, one after the other; everything if absent.
    #[arg(long = "read", value_enum)]
    reads: Vec<Read>,
}

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Read {
    /// My profile.
    Me,
    /// My day: the main routine, the monster, what was done.
    Today,
    /// My month.
    Habits,
    /// The newest 50 meetups.
    Meetups,
    /// The newest 50 entries of a room of mine.
    Room,
    /// All of these in turn.
    Mixed,
}

impl Read {
    const SINGLE: [Self; 5] = [Self::Me, Self::Today, Self::Habits, Self::Meetups, Self::Room];

    const fn name(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::Today => "today",
            Self::Habits => "habits",
            Self::Meetups => "meetups",
            Self::Room => "room",
            Self::Mixed => "mixed",
        }
    }

    fn path(self, number: u64, room: &str, month: &str) -> String {
        match self {
            Self::Me => "/me".to_owned(),
            Self::Today => "/me/today".to_owned(),
            Self::Habits => format!("/history/habits?month={month}"),
            Self::Meetups => "/meetups?limit=50".to_owned(),
            Self::Room => format!("/meetups/{room}/messages?limit=50"),
            Self::Mixed => {
                let turn = usize::try_from(number).unwrap_or(0) % Self::SINGLE.len();
                Self::SINGLE[turn].path(number, room, month)
            }
        }
    }
}

/// One line of the token file.
struct Person {
    token: String,
    room: String,
}

impl RestLoad {
    /// Measures and prints.
    ///
    /// # Errors
    /// When the service does not answer, or answers anything but success.
    pub async fn run(self) -> Outcome {
        self.figures().await.map(|report| report.print())
    }

    /// Reads of the service at `url`, whose process is `pid`, by the people in the file `tokens`.
    pub(crate) fn of(pid: u32, url: &str, tokens: &Path, rate: u64, seconds: u64, warm_up: u64) -> Self {
        let (url, tokens, reads) = (url.to_owned(), tokens.to_owned(), Vec::new());
        Self { pid, url, tokens, rate, seconds, warm_up, connections: 10, reads }
    }

    /// With one thing more to read; everything is read without this.
    #[must_use]
    pub(crate) fn reading(mut self, read: Read) -> Self {
        self.reads.push(read);
        self
    }

    /// Measures.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) async fn figures(mut self) -> Outcome<Report> {
        process::raise_open_files();
        let people = Arc::new(read_people(&std::fs::read_to_string(&self.tokens)?)?);
        if self.reads.is_empty() {
            self.reads = [&Read::SINGLE[..], &[Read::Mixed]].concat();
        }
        let mut report = Report::new("rest");
        let mut failed = 0;
        for read in &self.reads {
            self.phase(*read, &people, self.warm_up).await?;
            failed += self.measure(*read, &people, &mut report).await?;
        }
        report.add("requests a second asked for", self.rate);
        report.add("connections", self.connections);
        report.add("people", people.len());
        report.add("seconds measured of each", self.seconds);
        report.add("server memory MiB", process::resident(self.pid)? >> 20);
        report.add("machine", machine());
        if failed == 0 { Ok(report) } else { Err(Failure::new(format!("{failed} requests failed"))) }
    }

    /// Returns how many requests failed.
    async fn measure(&self, read: Read, people: &Arc<Vec<Person>>, report: &mut Report) -> Outcome<u64> {
        let (began, before) = (Instant::now(), process::cpu(self.pid)?);
        let done = self.phase(read, people, self.seconds).await?;
        let (seconds, used) = (began.elapsed(), process::cpu(self.pid)?.saturating_sub(before));
        let (name, answers) = (read.name(), to_f64(done.latency.len().max(1)));
        report.add_rounded(format!("{name} answers a second"), answers / seconds.as_secs_f64());
        report.add_rounded(format!("{name} server µs of cpu"), used.as_secs_f64() * 1e6 / answers);
        add_percentiles(report, name, &done.latency);
        report.add_rounded(format!("{name} bytes"), to_f64(done.bytes) / answers);
        report.add(format!("{name} failed"), done.failed);
        Ok(done.failed)
    }

    async fn phase(&self, read: Read, people: &Arc<Vec<Person>>, seconds: u64) -> Outcome<Done> {
        let run = Arc::new(Run {
            read,
            base: format!("{}/api/v1", self.url.trim_end_matches('/')),
            month: chrono::Utc::now().format("%Y-%m").to_string(),
            people: Arc::clone(people),
            next: AtomicU64::new(0),
            count: self.rate * seconds,
            rate: self.rate,
            start: Instant::now(),
            http: http_client(PATIENCE)?,
        });
        let mut workers = JoinSet::new();
        for number in 0..self.connections.max(1) {
            workers.spawn(Arc::clone(&run).work(number as u64));
        }
        let mut total = Done::new()?;
        while let Some(done) = workers.join_next().await {
            total.add(&done??)?;
        }
        Ok(total)
    }
}

/// What a phase did.
struct Done {
    /// Microseconds from the time to send to the whole answer, successes only.
    latency: Histogram<u64>,
    bytes: u64,
    failed: u64,
}

impl Done {
    fn new() -> Outcome<Self> {
        Ok(Self { latency: histogram()?, bytes: 0, failed: 0 })
    }

    fn add(&mut self, other: &Self) -> Outcome {
        self.latency.add(&other.latency)?;
        self.bytes += other.bytes;
        self.failed += other.failed;
        Ok(())
    }
}

/// A phase under way.
struct Run {
    read: Read,
    base: String,
    month: String,
    people: Arc<Vec<Person>>,
    next: AtomicU64,
    count: u64,
    rate: u64,
    start: Instant,
    http: reqwest::Client,
}

impl Run {
    /// Sends requests, each at its time, until there are no more.
    async fn work(self: Arc<Self>, seed: u64) -> Outcome<Done> {
        let mut done = Done::new()?;
        let mut rng = StdRng::seed_from_u64(seed);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(done);
            }
            let due = self.start + Duration::from_nanos(number.saturating_mul(1_000_000_000) / self.rate);
            sleep_until(due).await;
            match self.request(number, rng.random_range(0..self.people.len())).await {
                Ok(bytes) => {
                    let micros = u64::try_from(due.elapsed().as_micros())?;
                    done.latency.saturating_record(micros.max(1));
                    done.bytes += bytes;
                }
                Err(failure) => {
                    if done.failed == 0 {
                        eprintln!("{failure}");
                    }
                    done.failed += 1;
                }
            }
        }
    }

    /// Returns the size of the answer.
    async fn request(&self, number: u64, person: usize) -> Outcome<u64> {
        let Person { token, room } = &self.people[person];
        let path = self.read.path(number, room, &self.month);
        let response = self.http.get(format!("{}{path}", self.base)).bearer_auth(token).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        if status.is_success() {
            Ok(body.len() as u64)
        } else {
            Err(Failure::new(format!("GET {path}: {status} {}", String::from_utf8_lossy(&body))))
        }
    }
}

fn read_people(csv: &str) -> Outcome<Vec<Person>> {
    let person = |line: &str| match line.split(',').collect::<Vec<_>>()[..] {
        [_, _, token, room] => Ok(Person { token: token.to_owned(), room: room.to_owned() }),
        _ => Err(Failure::new(format!("not user_id,nickname,access_token,room_id: {line}"))),
    };
    let people = csv.lines().skip(1).map(person).collect::<Outcome<Vec<_>>>()?;
    if people.is_empty() { Err(Failure::new("the token file names nobody")) } else { Ok(people) }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A service that answers every request with `answer`.
    async fn service(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                });
            }
        });
        url
    }

    async fn phase(answer: &'static str) -> Done {
        let people = Arc::new(read_people("head\nid,밍기,token,room\n").expect("people"));
        let load = RestLoad {
            pid: std::process::id(),
            url: service(answer).await,
            tokens: PathBuf::new(),
            rate: 100,
            seconds: 1,
            warm_up: 0,
            connections: 4,
            reads: Vec::new(),
        };
        load.phase(Read::Mixed, &people, 1).await.expect("a phase")
    }

    #[tokio::test]
    async fn every_request_is_sent_and_counted() {
        let done = phase("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!((done.latency.len(), done.bytes, done.failed), (100, 200, 0));
        let done = phase("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!((done.latency.len(), done.failed), (0, 100));
    }

    #[test]
    fn a_token_file_of_another_shape_is_refused() {
        assert!(read_people("head\n").is_err() && read_people("head\na,b\n").is_err());
    }
}
