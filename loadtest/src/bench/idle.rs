//! Connections that do nothing but live.

use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{PARALLEL, Target, describe, report::Report, to_f64};
use crate::failure::Outcome;

/// How long the gateway is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Connections that do nothing but live.
#[derive(Args)]
pub struct Idle {
    #[command(flatten)]
    pub(super) target: Target,
    /// Rooms.
    #[arg(long, default_value_t = 50)]
    rooms: usize,
    /// Members of each room.
    #[arg(long, default_value_t = 20)]
    members: usize,
    /// Connections of each member.
    #[arg(long, default_value_t = 10)]
    times: usize,
    /// Seconds to watch the heartbeat's cost.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

impl Idle {
    pub(super) async fn run(self) -> Outcome<Report> {
        let running = self.target.prepare(self.rooms, self.members).await?;
        let before = running.meter.read()?.memory("server");
        let stop = CancellationToken::new();
        let mut connections = JoinSet::new();
        let mut count = 0;
        for mut connection in running.scene.connect(self.times, PARALLEL).await?.rooms.into_iter().flatten() {
            count += 1;
            let stop = stop.clone();
            connections.spawn(async move {
                let live = async { while connection.receive(|_| {}).await.is_ok() {} };
                tokio::select! {
                    () = live => 1_u64,
                    () = stop.cancelled() => 0,
                }
            });
        }
        tokio::time::sleep(SETTLE).await;
        let early = running.meter.read()?;
        tokio::time::sleep(Duration::from_secs(self.seconds)).await;
        let later = running.meter.read()?;
        stop.cancel();
        let closed: u64 = connections.join_all().await.into_iter().sum();
        let each = |memory: u64| to_f64(memory.saturating_sub(before)) / to_f64(count) / 1024.0;
        let mut report = Report::new("idle");
        report.add("connections", count);
        report.add_rounded("gateway KiB a connection", each(early.memory("server")));
        report.add_rounded("gateway KiB a connection at the end", each(later.memory("server")));
        report.add_rounded("gateway memory before MiB", to_f64(before) / 1_048_576.0);
        let idle = later.cpu_since(&early, "server").as_secs_f64() / to_f64(self.seconds.max(1));
        report.add_rounded("gateway µs of cpu a connection a second", idle * 1e6 / to_f64(count));
        report.add("connections closed by the gateway", closed);
        report.add("seconds watched", self.seconds);
        describe(&running, &mut report);
        Ok(report)
    }
}
