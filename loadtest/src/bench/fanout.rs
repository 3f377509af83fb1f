//! Messages to rooms of many.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use hdrhistogram::Histogram;
use tokio::{sync::Mutex, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::Command;

use super::{Bed, PATIENCE, Target, add_percentiles, histogram, raw, report::Report, stamp, to_f64};
use crate::{failure::Outcome, process};

/// Digits of a stamp: every number of 64 bits fits.
const STAMP: usize = 20;
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(2);

/// Messages to rooms of many.
#[derive(Args)]
pub struct Fanout {
    #[command(flatten)]
    target: Target,
    /// Rooms.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Members of each room; each sends in turn.
    #[arg(long, default_value_t = 50)]
    members: usize,
    /// Messages a second in each room.
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Seconds to measure.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds to send before measuring.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Characters of a message, 20 or more.
    #[arg(long, default_value_t = 32)]
    text: usize,
}

/// What all receivers count together.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
    again: AtomicU64,
    closed: AtomicU64,
    measuring: AtomicBool,
}

impl Counts {
    fn add(counter: &AtomicU64, count: u64) {
        if count > 0 {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Fanout {
    pub(super) async fn run(self) -> Outcome<Report> {
        let text = self.text.max(STAMP);
        let bed = self.target.prepare(self.rooms, self.members).await?;
        let counts = Arc::new(Counts::default());
        let (stop_sending, stop) = (CancellationToken::new(), CancellationToken::new());
        let (mut senders, mut receivers, mut latencies) = (JoinSet::new(), JoinSet::new(), Vec::new());
        for (room, connections) in bed.rooms.iter().zip(bed.connect(1).await?) {
            let latency = Arc::new(Mutex::new(histogram()?));
            latencies.push(Arc::clone(&latency));
            let writers = connections.iter().map(raw::Receiver::sender).collect();
            let schedule = Schedule { room: room.id, writers, rate: self.rate, text };
            senders.spawn(schedule.run(Arc::clone(&counts), stop_sending.clone()));
            for connection in connections {
                receivers.spawn(receive(connection, text, Arc::clone(&counts), Arc::clone(&latency), stop.clone()));
            }
        }
        tokio::time::sleep(Duration::from_secs(self.warm_up)).await;
        let window = Window::open(&bed, &counts)?;
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let mut report = window.close(&bed, &counts)?;
        stop_sending.cancel();
        senders.join_all().await;
        self.settle(&counts).await;
        stop.cancel();
        receivers.join_all().await;
        self.finish(&bed, &counts, &latencies, &mut report).await?;
        Ok(report)
    }

    /// Waits until everything that was acknowledged has arrived, or nothing more does.
    async fn settle(&self, counts: &Counts) {
        let deadline = Instant::now() + PATIENCE;
        let all = || {
            let answered = counts.acknowledged.load(Ordering::Relaxed) + counts.refused.load(Ordering::Relaxed);
            let expected = counts.acknowledged.load(Ordering::Relaxed) * self.members as u64;
            answered >= counts.sent.load(Ordering::Relaxed) && counts.received.load(Ordering::Relaxed) >= expected
        };
        while !all() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn finish(
        &self,
        bed: &Bed,
        counts: &Counts,
        latencies: &[Arc<Mutex<Histogram<u64>>>],
        report: &mut Report,
    ) -> Outcome {
        let mut all = histogram()?;
        for latency in latencies {
            all.add(&*latency.lock().await)?;
        }
        add_percentiles(report, "delivered after", &all);
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let expected = load(&counts.acknowledged) * self.members as u64;
        report.add("sent", load(&counts.sent));
        report.add("acknowledged", load(&counts.acknowledged));
        report.add("refused", load(&counts.refused));
        report.add("deliveries expected", expected);
        report.add("deliveries received", load(&counts.received));
        report.add("lost", expected.saturating_sub(load(&counts.received)));
        report.add("gaps", load(&counts.gaps));
        report.add("received again", load(&counts.again));
        report.add("connections closed by the gateway", load(&counts.closed));
        report.add_rounded("bytes of a frame", to_f64(load(&counts.bytes)) / to_f64(load(&counts.received).max(1)));
        report.add("messages a second a room", self.rate);
        report.add("seconds measured", self.seconds);
        bed.describe(report);
        Ok(())
    }
}

/// What is compared at both ends of the measured time.
struct Window {
    began: Instant,
    cpu: Duration,
    redis: Option<Duration>,
    received: u64,
}

impl Window {
    fn open(bed: &Bed, counts: &Counts) -> Outcome<Self> {
        counts.measuring.store(true, Ordering::Relaxed);
        let received = counts.received.load(Ordering::Relaxed);
        Ok(Self { began: Instant::now(), cpu: bed.usage()?.0, redis: redis_cpu(bed)?, received })
    }

    fn close(self, bed: &Bed, counts: &Counts) -> Outcome<Report> {
        let (cpu, memory) = bed.usage()?;
        let deliveries = (counts.received.load(Ordering::Relaxed) - self.received).max(1);
        let seconds = self.began.elapsed().as_secs_f64();
        counts.measuring.store(false, Ordering::Relaxed);
        let used = cpu.saturating_sub(self.cpu).as_secs_f64();
        let mut report = Report::new("fanout");
        report.add_rounded("deliveries a second", to_f64(deliveries) / seconds);
        report.add_rounded("gateway µs of cpu a delivery", used * 1e6 / to_f64(deliveries));
        report.add_rounded("gateway cores used", used / seconds);
        if let (Some(before), Some(after)) = (self.redis, redis_cpu(bed)?) {
            report.add_rounded("redis cores used", after.saturating_sub(before).as_secs_f64() / seconds);
        }
        report.add_rounded("gateway memory MiB", to_f64(memory) / 1_048_576.0);
        Ok(report)
    }
}

fn redis_cpu(bed: &Bed) -> Outcome<Option<Duration>> {
    bed.system.as_ref().map(|system| process::cpu(system.redis.pid()?)).transpose()
}

/// The messages of one room.
struct Schedule {
    room: Uuid,
    writers: Vec<raw::Sender>,
    rate: u32,
    text: usize,
}

impl Schedule {
    async fn run(self, counts: Arc<Counts>, stop: CancellationToken) {
        let began = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut sent: u64 = 0;
        while !stop.is_cancelled() {
            tick.tick().await;
            let due = u64::try_from(began.elapsed().as_millis()).unwrap_or(0) * u64::from(self.rate) / 1000;
            while sent < due {
                let turn = usize::try_from(sent).unwrap_or(0) % self.writers.len();
                if self.writers[turn].send(&self.message(sent)).await.is_ok() {
                    counts.sent.fetch_add(1, Ordering::Relaxed);
                }
                sent += 1;
            }
        }
    }

    fn message(&self, number: u64) -> String {
        let text = format!("{:0STAMP$}{:x<rest$}", stamp(), "", rest = self.text - STAMP);
        let command = Command::Send { id: number + 2, room: self.room, nonce: format!("bench-{number}"), text };
        serde_json::to_string(&command).unwrap_or_default()
    }
}

/// Receives until `stop` or until the gateway closes.
async fn receive(
    mut connection: raw::Receiver,
    text: usize,
    counts: Arc<Counts>,
    latency: Arc<Mutex<Histogram<u64>>>,
    stop: CancellationToken,
) {
    let (mut last, mut delays) = (0, Vec::new());
    loop {
        let (mut received, mut bytes, mut gaps, mut again, mut acknowledged, mut refused) = (0, 0, 0, 0, 0, 0);
        let now = &mut None;
        let read = connection.receive(|frame| {
            if let Some(seq) = number_after(frame, br#"{"seq":"#) {
                match (last, seq) {
                    (0, _) => {}
                    (last, seq) if seq <= last => again += 1,
                    (last, seq) if seq > last + 1 => gaps += 1,
                    _ => {}
                }
                last = last.max(seq);
                let sent = frame.len().checked_sub(text + 2).and_then(|start| number_after(&frame[start..], b""));
                let Some(sent) = sent else { return };
                received += 1;
                bytes += frame.len() as u64;
                delays.push((*now.get_or_insert_with(stamp)).saturating_sub(sent) / 1000);
            } else if frame.starts_with(br#"{"type":"ack""#) {
                acknowledged += 1;
            } else if frame.starts_with(br#"{"type":"error""#) {
                refused += 1;
            }
        });
        let open = tokio::select! {
            read = read => read.is_ok(),
            () = stop.cancelled() => return,
        };
        Counts::add(&counts.received, received);
        Counts::add(&counts.bytes, bytes);
        Counts::add(&counts.gaps, gaps);
        Counts::add(&counts.again, again);
        Counts::add(&counts.acknowledged, acknowledged);
        Counts::add(&counts.refused, refused);
        if counts.measuring.load(Ordering::Relaxed) && !delays.is_empty() {
            let mut latency = latency.lock().await;
            for delay in &delays {
                latency.saturating_record((*delay).max(1));
            }
        }
        delays.clear();
        if !open {
            return Counts::add(&counts.closed, 1);
        }
    }
}

/// The digits that follow `prefix` at the beginning of `bytes`.
pub(super) fn number_after(bytes: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = bytes.strip_prefix(prefix)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    digits[..end].iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_where_they_stand() {
        for (bytes, prefix, number) in [
            (&br#"{"seq":17,"room""#[..], &br#"{"seq":"#[..], Some(17)),
            (b"00000000000000000042xx", b"", Some(42)),
            (b"x1", b"", None),
            (b"", b"", None),
            (b"99999999999999999999", b"", None),
        ] {
            assert_eq!(number_after(bytes, prefix), number);
        }
    }
}
