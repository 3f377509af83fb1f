//! `loadtest search-limit`: the highest rate at which stated thresholds still hold, by bisection, and what the limit was.

use std::time::Duration;

use clap::Args;

use super::{
    arrivals::Arrivals,
    load::{Load, PATIENCE},
};
use crate::{
    bench::{Cost, Target, report::Report, settle, subject::Running, to_f64},
    failure::{Failure, Outcome},
    process,
};

/// A process that uses this part of what it can is at its limit.
const FULL: f64 = 0.85;
/// Microseconds of lateness (p99) from which on the generator could not follow.
const LATE: u64 = 20_000;

/// Find the highest rate that still meets the thresholds.
#[derive(Args)]
pub struct SearchLimit {
    #[command(flatten)]
    target: Target,
    /// Rooms.
    #[arg(long, default_value_t = 20)]
    rooms: usize,
    /// Members of each room; each sends in turn.
    #[arg(long, default_value_t = 50)]
    members: usize,
    /// Lowest rate to try: messages a second in each room. It has to meet the thresholds.
    #[arg(long, default_value_t = 5.0)]
    from: f64,
    /// Highest rate to try.
    #[arg(long, default_value_t = 1000.0)]
    to: f64,
    /// Milliseconds that the p99 of deliveries may take.
    #[arg(long, default_value_t = 25.0)]
    p99: f64,
    /// Deliveries that may be lost.
    #[arg(long, default_value_t = 0)]
    lost: u64,
    /// Percent by which the answer may be too low.
    #[arg(long, default_value_t = 10.0)]
    precision: f64,
    /// Seconds to measure each rate.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds to send before measuring.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
}

/// How one rate went.
#[derive(Clone, Debug)]
struct Trial {
    rate: f64,
    p99_ms: f64,
    lost: u64,
    late: u64,
    deliveries: f64,
    /// Cores used by the server, Redis, the database and the generator.
    cores: [(&'static str, f64); 4],
}

impl SearchLimit {
    /// Searches and prints.
    ///
    /// # Errors
    /// When the lowest rate does not meet the thresholds.
    pub async fn run(self) -> Outcome {
        process::raise_open_files();
        let running = self.target.prepare(self.rooms, self.members).await?;
        let mut best = self.attempt(&running, self.from).await?;
        if !self.holds(&best) {
            let why = limit(&best, available());
            return Err(Failure::new(format!(
                "{} a second in each room do not meet the thresholds already; {why}",
                self.from
            )));
        }
        let (mut low, mut high, mut failed) = (self.from, self.to, None);
        // Upwards by doubling first: a rate far above the limit says little and takes long to drain.
        while failed.is_none() && low < self.to {
            let trial = self.attempt(&running, (low * 2.0).min(self.to)).await?;
            if self.holds(&trial) {
                (low, best) = (trial.rate, trial)
            } else {
                (high, failed) = (trial.rate, Some(trial))
            }
        }
        while failed.is_some() && high / low > 1.0 + self.precision.max(1.0) / 100.0 {
            let trial = self.attempt(&running, f64::midpoint(low, high)).await?;
            if self.holds(&trial) {
                (low, best) = (trial.rate, trial)
            } else {
                (high, failed) = (trial.rate, Some(trial))
            }
        }
        self.report(&running, &best, failed.as_ref()).print();
        Ok(())
    }

    fn holds(&self, trial: &Trial) -> bool {
        // A rate that the generator did not keep was not tried.
        trial.p99_ms <= self.p99 && trial.lost <= self.lost && trial.late < LATE
    }

    async fn attempt(&self, running: &Running, rate: f64) -> Outcome<Trial> {
        let load = Load {
            rate,
            arrivals: Arrivals::Poisson,
            text: 32,
            warm_up: Duration::from_secs(self.warm_up),
            measure: Duration::from_secs(self.seconds),
            patience: PATIENCE,
            seed: 1,
        };
        let cost = Cost::measure(running, &load).await?;
        let cores =
            ["server", "redis", "database", "generator"].map(|name| (name, cost.seconds(name) / cost.measured.seconds));
        let trial = Trial {
            rate,
            p99_ms: to_f64(cost.measured.latency.value_at_quantile(0.99)) / 1000.0,
            lost: cost.measured.lost(),
            late: cost.measured.late.value_at_quantile(0.99),
            deliveries: to_f64(cost.measured.deliveries) / cost.measured.seconds,
            cores,
        };
        let outcome = if self.holds(&trial) { "holds" } else { "does not hold" };
        eprintln!("{rate:.1} a second in each room: p99 {:.1} ms, {} lost: {outcome}", trial.p99_ms, trial.lost);
        settle(running).await?;
        Ok(trial)
    }

    fn report(&self, running: &Running, best: &Trial, failed: Option<&Trial>) -> Report {
        let mut report = Report::new("search-limit");
        report.add_rounded("messages a second a room", best.rate);
        report.add_rounded("deliveries a second", best.deliveries);
        report.add_rounded("p99 ms", best.p99_ms);
        for (name, cores) in best.cores {
            report.add_rounded(format!("{name} cores used"), cores);
        }
        match failed {
            Some(failed) => {
                report.add_rounded("first rate that did not hold", failed.rate);
                report.add_rounded("its p99 ms", failed.p99_ms);
                report.add("lost at it", failed.lost);
                report.add("the limit was", limit(failed, available()));
            }
            None => report.add("the limit was", "not reached: --to is as high as was tried"),
        }
        report.add_rounded("threshold p99 ms", self.p99);
        report.add("threshold lost", self.lost);
        report.add("seconds measured of each rate", self.seconds);
        crate::bench::describe(running, &mut report);
        report
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of cores")]
fn available() -> f64 {
    std::thread::available_parallelism().map_or(1, usize::from) as f64
}

/// What was used up at a rate that did not hold.
fn limit(trial: &Trial, cores: f64) -> String {
    let used = |name: &str| trial.cores.iter().find(|(group, _)| *group == name).map_or(0.0, |(_, cores)| *cores);
    let total: f64 = trial.cores.iter().map(|(_, cores)| cores).sum();
    let share = |name: &str| format!("{name} {:.2}", used(name));
    let all = trial.cores.map(|(name, _)| share(name)).join(", ");
    let what = if used("redis") >= FULL {
        "Redis: it has one thread, which is busy"
    } else if trial.late >= LATE && used("generator") >= used("server") {
        "the generator: it could not send in time"
    } else if used("server") >= FULL * cores {
        "the server's processor time"
    } else if total >= FULL * cores {
        match trial.cores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or("server", |(name, _)| name) {
            "server" => "the machine's cores, most of them used by the server",
            "generator" => "the machine's cores, most of them used by the generator",
            _ => "the machine's cores, most of them used by the stores",
        }
    } else {
        "no processor: time was spent waiting"
    };
    format!("{what} (cores: {all} of {cores})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_was_used_up() {
        for (server, redis, generator, late, expected) in [
            (0.6, 0.95, 0.3, 0, "Redis"),
            (1.8, 0.1, 0.1, 0, "the server's"),
            (0.9, 0.2, 0.7, 0, "most of them used by the server"),
            (0.6, 0.2, 1.0, 50_000, "the generator: it could not"),
            (0.3, 0.1, 0.2, 0, "no processor"),
        ] {
            let cores = [("server", server), ("redis", redis), ("database", 0.0), ("generator", generator)];
            let trial = Trial { rate: 1.0, p99_ms: 99.0, lost: 0, late, deliveries: 1.0, cores };
            let said = limit(&trial, 2.0);
            assert!(said.contains(expected), "{said}");
        }
    }
}
