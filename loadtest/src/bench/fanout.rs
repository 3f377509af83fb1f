//! Messages to rooms of many: processor time and latency of a delivery.

use std::time::Duration;

use clap::Args;

use super::{PARALLEL, Target, add_percentiles, report::Report, subject::Running, to_f64};
use crate::{
    chat::{
        arrivals::Arrivals,
        load::{Load, Measured, PATIENCE, Scene},
    },
    failure::Outcome,
    process::{Meter, Usage},
};

/// Messages to rooms of many.
#[derive(Args)]
pub struct Fanout {
    #[command(flatten)]
    pub(super) target: Target,
    /// Rooms.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Members of each room; each sends in turn.
    #[arg(long, default_value_t = 50)]
    members: usize,
    /// Messages a second in each room.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// When the messages of a room are due.
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: Arrivals,
    /// Seconds to measure.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds to send before measuring.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// Characters of a message, 32 or more.
    #[arg(long, default_value_t = 32)]
    text: usize,
    /// Seed of the times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A measured load and what the processes used meanwhile.
#[derive(Debug)]
pub(crate) struct Cost {
    /// What happened.
    pub(crate) measured: Measured,
    /// Use when the measured time began.
    pub(crate) before: Usage,
    /// Use when it ended.
    pub(crate) after: Usage,
}

impl Cost {
    /// Connects everyone, sends, and measures.
    pub(crate) async fn measure(running: &Running, load: &Load) -> Outcome<Self> {
        Self::measure_scene(&running.scene, &running.meter, load).await
    }

    /// The same for a scene whose processes are in `meter`.
    pub(crate) async fn measure_scene(scene: &Scene, meter: &Meter, load: &Load) -> Outcome<Self> {
        let connected = scene.connect(1, PARALLEL).await?;
        let meter = meter.clone().with("generator", std::process::id());
        let mut edges = Vec::new();
        let measured = scene
            .run(connected, load, || {
                edges.push(meter.read()?);
                Ok(())
            })
            .await?;
        let (after, before) = (edges.pop().unwrap_or_default(), edges.pop().unwrap_or_default());
        Ok(Self { measured, before, after })
    }

    /// Processor seconds of a group within the measured time.
    pub(crate) fn seconds(&self, group: &str) -> f64 {
        self.after.cpu_since(&self.before, group).as_secs_f64()
    }

    /// Microseconds of a group's processor time for each delivery.
    pub(crate) fn micros_a_delivery(&self, group: &str) -> f64 {
        self.seconds(group) * 1e6 / to_f64(self.measured.deliveries.max(1))
    }
}

impl Fanout {
    pub(super) async fn run(self) -> Outcome<Report> {
        let running = self.target.prepare(self.rooms, self.members).await?;
        let load = Load {
            rate: self.rate,
            arrivals: self.arrivals,
            text: self.text,
            warm_up: Duration::from_secs(self.warm_up),
            measure: Duration::from_secs(self.seconds),
            patience: PATIENCE,
            seed: self.seed,
        };
        let cost = Cost::measure(&running, &load).await?;
        let mut report = Report::new("fanout");
        add_cost(&mut report, &cost);
        add_counts(&mut report, &cost.measured);
        report.add("messages a second a room", self.rate);
        report.add("seconds measured", self.seconds);
        super::describe(&running, &mut report);
        Ok(report)
    }
}

fn add_cost(report: &mut Report, cost: &Cost) {
    let measured = &cost.measured;
    report.add_rounded("deliveries a second", to_f64(measured.deliveries) / measured.seconds);
    report.add_rounded("gateway µs of cpu a delivery", cost.micros_a_delivery("server"));
    for group in cost.after.names() {
        let name = if group == "server" { "gateway" } else { group };
        report.add_rounded(format!("{name} cores used"), cost.seconds(group) / measured.seconds);
    }
    report.add_rounded("gateway memory MiB", to_f64(cost.after.memory("server")) / 1_048_576.0);
}

fn add_counts(report: &mut Report, measured: &Measured) {
    add_percentiles(report, "delivered after", &measured.latency);
    add_percentiles(report, "acknowledged after", &measured.acked);
    add_percentiles(report, "sent late by", &measured.late);
    report.add("sent", measured.sent);
    report.add("acknowledged", measured.acknowledged);
    report.add("refused", measured.refused);
    report.add("deliveries expected", measured.expected.unwrap_or(0));
    report.add("deliveries received", measured.sums.received);
    report.add("lost", measured.lost());
    report.add("gaps", measured.sums.gaps);
    report.add("received again", measured.sums.duplicates);
    report.add("reordered", measured.sums.reordered);
    report.add("receivers that saw another order", measured.order_differs);
    report.add("connections closed by the gateway", measured.closes.values().sum::<u64>());
    report.add_rounded("bytes of a frame", to_f64(measured.bytes) / to_f64(measured.sums.received.max(1)));
}
