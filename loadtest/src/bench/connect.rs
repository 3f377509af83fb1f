//! Connecting, authenticating and joining.

use std::time::Instant;

use clap::Args;

use super::{PARALLEL, Target, describe, report::Report, settle, to_f64};
use crate::failure::Outcome;

/// Connecting, authenticating and joining.
#[derive(Args)]
pub struct Connect {
    #[command(flatten)]
    pub(super) target: Target,
    /// Rooms.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Members of each room.
    #[arg(long, default_value_t = 50)]
    members: usize,
    /// Rounds in which every member connects, joins and is cut off; the first is a warm-up.
    #[arg(long, default_value_t = 6)]
    rounds: u32,
}

impl Connect {
    pub(super) async fn run(self) -> Outcome<Report> {
        let running = self.target.prepare(self.rooms, self.members).await?;
        drop(running.scene.connect(1, PARALLEL).await?);
        let (mut count, mut seconds, mut used) = (0_u64, 0.0, 0.0);
        for _ in 1..self.rounds {
            // What leaving costs is not what coming costs.
            settle(&running).await?;
            let (before, began) = (running.meter.read()?, Instant::now());
            let connected = running.scene.connect(1, PARALLEL).await?;
            seconds += began.elapsed().as_secs_f64();
            used += running.meter.read()?.cpu_since(&before, "server").as_secs_f64();
            count += connected.rooms.iter().map(|room| room.len() as u64).sum::<u64>();
        }
        let mut report = Report::new("connect");
        report.add("connections", count);
        report.add_rounded("connections a second", to_f64(count) / seconds);
        report.add_rounded("gateway µs of cpu to connect, authenticate and join", used * 1e6 / to_f64(count.max(1)));
        describe(&running, &mut report);
        Ok(report)
    }
}
