//! Messages as fast as they are acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Args;
use serde_json::json;
use tokio::{sync::Mutex, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{PARALLEL, Target, add_percentiles, describe, report::Report, to_f64};
use crate::chat::load::histogram;
use crate::{
    chat::protocol::number_after,
    clock::stamp,
    failure::{Failure, Outcome},
    socket::Socket,
};

/// Messages as fast as they are acknowledged.
#[derive(Args)]
pub struct Send {
    #[command(flatten)]
    pub(super) target: Target,
    /// Rooms.
    #[arg(long, default_value_t = 100)]
    pub(super) rooms: usize,
    /// Members of each room; each sends.
    #[arg(long, default_value_t = 1)]
    pub(super) members: usize,
    /// Messages of one connection under way at a time.
    #[arg(long, default_value_t = 16)]
    pub(super) window: u64,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10)]
    pub(super) seconds: u64,
    /// Seconds to send before measuring.
    #[arg(long, default_value_t = 3)]
    pub(super) warm_up: u64,
}

#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

impl Send {
    pub(super) async fn run(self) -> Outcome<Report> {
        let running = self.target.prepare(self.rooms, self.members).await?;
        let counts = Arc::new(Counts::default());
        let latency = Arc::new(Mutex::new(histogram()?));
        let stop = CancellationToken::new();
        let mut senders = JoinSet::new();
        for (room, connections) in running.scene.rooms.iter().zip(running.scene.connect(1, PARALLEL).await?.rooms) {
            for (number, connection) in connections.into_iter().enumerate() {
                let sender = Sender { room: room.id.clone(), number, window: self.window, sent: 0, at: Vec::new() };
                senders.spawn(sender.run(connection, Arc::clone(&counts), Arc::clone(&latency), stop.clone()));
            }
        }
        tokio::time::sleep(Duration::from_secs(self.warm_up)).await;
        latency.lock().await.reset();
        let (began, before) = (Instant::now(), running.meter.read()?);
        let acknowledged = counts.acknowledged.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let seconds = began.elapsed().as_secs_f64();
        let after = running.meter.read()?;
        let used = |group| after.cpu_since(&before, group).as_secs_f64();
        let sends = to_f64((counts.acknowledged.load(Ordering::Relaxed) - acknowledged).max(1));
        let mut report = Report::new("send");
        report.add_rounded("acknowledged a second", sends / seconds);
        report.add_rounded("gateway µs of cpu a send", used("server") * 1e6 / sends);
        report.add_rounded("gateway cores used", used("server") / seconds);
        report.add_rounded("redis cores used", used("redis") / seconds);
        stop.cancel();
        let failures = senders.join_all().await.into_iter().filter(Result::is_err).count();
        add_percentiles(&mut report, "acknowledged after", &*latency.lock().await);
        report.add("refused", counts.refused.load(Ordering::Relaxed));
        report.add("connections lost", failures);
        report.add("messages of a connection under way", self.window);
        report.add("seconds measured", self.seconds);
        describe(&running, &mut report);
        Ok(report)
    }
}

/// One connection's messages.
struct Sender {
    room: String,
    number: usize,
    window: u64,
    sent: u64,
    /// When the latest messages were sent, by their number modulo the window.
    at: Vec<u64>,
}

impl Sender {
    async fn run(
        mut self,
        mut connection: Socket,
        counts: Arc<Counts>,
        latency: Arc<Mutex<hdrhistogram::Histogram<u64>>>,
        stop: CancellationToken,
    ) -> Outcome {
        let writer = connection.sender();
        self.at = vec![0; usize::try_from(self.window)?];
        let first = self.messages(self.window);
        writer.send_all(first).await?;
        let mut answered = Vec::new();
        while !stop.is_cancelled() {
            let mut refused = 0;
            let read = connection.receive(|frame| {
                if let Some(id) = number_after(frame, br#"{"type":"ack","id":"#) {
                    answered.push(id);
                } else if let Some(id) = number_after(frame, br#"{"type":"error","id":"#) {
                    answered.push(id);
                    refused += 1;
                }
            });
            tokio::select! {
                read = read => read?,
                () = stop.cancelled() => return Ok(()),
            }
            let (now, count) = (stamp(), answered.len() as u64);
            counts.acknowledged.fetch_add(count - refused, Ordering::Relaxed);
            counts.refused.fetch_add(refused, Ordering::Relaxed);
            if count > 0 {
                let mut latency = latency.lock().await;
                for id in answered.drain(..) {
                    let sent = self.at[usize::try_from(id % self.window)?];
                    latency.saturating_record((now.saturating_sub(sent) / 1000).max(1));
                }
                drop(latency);
                let more = self.messages(count);
                writer.send_all(more).await?;
            }
        }
        Ok::<(), Failure>(())
    }

    fn messages(&mut self, count: u64) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            self.sent += 1;
            let place = usize::try_from(self.sent % self.window).unwrap_or(0);
            self.at[place] = stamp();
            let nonce = format!("send-{}-{}", self.number, self.sent);
            let text = "안녕하세요, 오늘도 밍기적!";
            let (id, room) = (self.sent, &self.room);
            texts.push(json!({"type": "send", "id": id, "room": room, "nonce": nonce, "text": text}).to_string());
        }
        texts
    }
}
