//! `loadtest chat`: people in rooms of a system that runs already, or of one that is started for it.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::Utc;
use clap::Args;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::people::{self, Config};
use crate::{
    bench::Target,
    failure::{Failure, Outcome, While},
    metrics::{CheckResult, Collector, PhaseFigures, Recorder, Report, RunInfo},
    output::{
        self,
        console::{Console, Progress},
    },
    process::{self, Meter, Usage},
};

/// A generator that used this part of all cores was the limit, or close to it.
const BUSY: f64 = 0.8;
/// Lateness in milliseconds from which on the generator's own figures are in doubt.
const LATE_MS: f64 = 20.0;

/// Let people chat, and tell how fast messages reach everybody, what was lost, and who was cut off.
#[derive(Args)]
pub struct Chat {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    people: Config,
    /// Milliseconds that the p99 of deliveries may take; a check of the report.
    #[arg(long)]
    p99: Option<f64>,
    /// Seed of every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Name of the run, for its report.
    #[arg(long)]
    name: Option<String>,
    /// The report file.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Print warnings and checks only.
    #[arg(short, long)]
    quiet: bool,
}

impl Chat {
    /// Runs, prints, and writes the report.
    ///
    /// # Errors
    /// When the system does not start, or a check failed.
    pub async fn run(self) -> Outcome {
        process::raise_open_files();
        let running = self.target.prepare(self.people.rooms, self.people.members()).await?;
        let gateways: Vec<String> =
            running.scene.addresses.iter().map(|address| format!("ws://{address}/ws")).collect();
        let rooms = running.people.clone();
        let (recorder, mut console) = (Arc::new(Recorder::default()), Console::new(self.quiet));
        let mut watch = Watch::new(running.meter.clone().with("generator", std::process::id()), Arc::clone(&recorder))?;
        let chat = people::run(&self.people, &rooms, &gateways, Arc::clone(&recorder), self.seed);
        let phases = [("coming", self.people.coming_time()), ("talking", self.people.talking_time())];
        let report = watch.through(chat, &phases, &mut console).await?;
        self.finish(report, watch.collector, gateways.join(" "), &mut console)
    }

    fn finish(
        &self,
        mut phases: Vec<PhaseFigures>,
        collector: Collector,
        target: String,
        console: &mut Console,
    ) -> Outcome {
        for phase in &mut phases {
            if let Some(window) = collector.phase(phase.index) {
                phase.figures = window.figures();
            }
        }
        let distributions = output::distributions(collector.total());
        let (aggregate, intermediate) = collector.finish();
        let checks = self.checks(&aggregate);
        let run = RunInfo {
            generator: format!("loadtest {}", env!("CARGO_PKG_VERSION")),
            test_id: uuid::Uuid::new_v4().simple().to_string(),
            name: self.name.clone(),
            script: "chat".into(),
            target,
            seed: self.seed,
            started_at: phases.first().map_or(0, |phase| phase.started_at),
            ended_at: now_ms(),
            warnings: warnings(&aggregate, cores()),
            cores: cores(),
            ..RunInfo::default()
        };
        let report = Report { aggregate, intermediate, phases, checks, run: Some(run) };
        console.finished(&report, Utc::now());
        if let Some(path) = &self.output {
            fs::write(path, output::to_json(&report, &distributions)?).doing(path.display())?;
            console.line(&format!("Log file: {}", path.display()));
        }
        let failed = report.checks.iter().filter(|check| !check.ok).count();
        if failed == 0 { Ok(()) } else { Err(Failure::new(format!("{failed} checks failed"))) }
    }

    /// Nothing may be lost, repeated or reordered, whatever else is asked for.
    fn checks(&self, aggregate: &crate::metrics::Period) -> Vec<CheckResult> {
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let zero = |name: &str| {
            let value = aggregate.counters.get(name).copied().unwrap_or(0) as f64;
            CheckResult { expression: format!("{name} == 0"), ok: value == 0.0, strict: true, value: Some(value) }
        };
        let p99 = self.p99.map(|limit| {
            let value = aggregate.summaries.get("chat.latency").map_or(0.0, |summary| summary.p99);
            let expression = format!("chat.latency.p99 < {limit}");
            CheckResult { expression, ok: value < limit, strict: true, value: Some(value) }
        });
        let counts = ["chat.lost", "chat.duplicates", "chat.reordered", "chat.unentitled"].map(zero);
        counts.into_iter().chain(p99).collect()
    }
}

/// Watches processes and prints once a second while something runs.
struct Watch {
    meter: Meter,
    recorder: Arc<Recorder>,
    collector: Collector,
    usage: Usage,
    at: Instant,
}

impl Watch {
    fn new(meter: Meter, recorder: Arc<Recorder>) -> Outcome<Self> {
        let usage = meter.read()?;
        Ok(Self { meter, recorder, collector: Collector::default(), usage, at: Instant::now() })
    }

    /// Runs `work` to its end through the phases, of which the last ends with it.
    async fn through(
        &mut self,
        work: impl Future<Output = Outcome>,
        phases: &[(&str, Duration)],
        console: &mut Console,
    ) -> Outcome<Vec<PhaseFigures>> {
        let (start, total) = (Instant::now(), phases.iter().map(|(_, length)| *length).sum());
        let mut figures: Vec<PhaseFigures> = Vec::new();
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tokio::pin!(work);
        loop {
            let elapsed = start.elapsed();
            let index = phase_at(phases, elapsed);
            while figures.len() <= index {
                if let Some(last) = figures.last_mut() {
                    last.ended_at = now_ms();
                }
                let index = figures.len();
                let (name, length) = (phases[index].0.to_owned(), phases[index].1);
                console.phase_started(index, &name, length, Utc::now());
                self.recorder.set_phase(index);
                figures.push(PhaseFigures { index, name, started_at: now_ms(), ..PhaseFigures::default() });
            }
            let done = tokio::select! {
                outcome = &mut work => Some(outcome),
                _ = tick.tick() => None,
            };
            let generator_cpu = self.measure()?;
            let second = self.collector.collect(&self.recorder);
            let users = in_flight(self.collector.total());
            let phase = figures.last().map_or(String::new(), |phase| phase.name.clone());
            console.live(&second, &Progress { phase, elapsed, total, users, generator_cpu });
            for period in self.collector.close_periods(now_ms()) {
                console.period(period, Utc::now());
            }
            if let Some(outcome) = done {
                if let Some(last) = figures.last_mut() {
                    last.ended_at = now_ms();
                }
                return outcome.map(|()| figures);
            }
        }
    }

    /// Records what the processes used since the last time. Returns the generator's share of a core in percent.
    fn measure(&mut self) -> Outcome<f64> {
        let (now, usage) = (Instant::now(), self.meter.read()?);
        let seconds = (now - self.at).as_secs_f64();
        let mut generator = 0.0;
        if seconds > 0.5 {
            self.recorder.with(0, |window| {
                for name in usage.names() {
                    let percent = usage.cpu_since(&self.usage, name).as_secs_f64() / seconds * 100.0;
                    #[expect(clippy::cast_precision_loss, reason = "memory in bytes")]
                    let megabytes = usage.memory(name) as f64 / 1e6;
                    let prefix = if name == "generator" { name.to_owned() } else { format!("process.{name}") };
                    window.record(&format!("{prefix}.cpu"), percent);
                    window.record(&format!("{prefix}.memory"), megabytes);
                    if name == "generator" {
                        generator = percent;
                    }
                }
            });
            (self.at, self.usage) = (now, usage);
        }
        Ok(generator)
    }
}

/// The phase at a time; the last one lasts until the end.
fn phase_at(phases: &[(&str, Duration)], elapsed: Duration) -> usize {
    let mut end = Duration::ZERO;
    for (index, (_, length)) in phases.iter().enumerate() {
        end += *length;
        if elapsed < end {
            return index;
        }
    }
    phases.len().saturating_sub(1)
}

fn in_flight(total: &crate::metrics::Window) -> u64 {
    total.counter("vusers.created").saturating_sub(total.counter("vusers.completed"))
}

/// What the figures suffer from.
fn warnings(aggregate: &crate::metrics::Period, cores: usize) -> Vec<String> {
    let summary = |name: &str| aggregate.summaries.get(name);
    let mut warnings = Vec::new();
    #[expect(clippy::cast_precision_loss, reason = "a number of cores")]
    let all = cores as f64 * 100.0;
    if let Some(cpu) = summary("generator.cpu").filter(|cpu| cpu.p95 > BUSY * all) {
        warnings
            .push(format!("THE GENERATOR WAS THE LIMIT: it used {:.0} % of a core, of {all:.0} there are", cpu.p95));
    }
    if let Some(late) = summary("generator.lateness").filter(|late| late.p99 > LATE_MS) {
        warnings.push(format!(
            "the generator was late: messages were sent up to {:.0} ms after their time (p99)",
            late.p99
        ));
    }
    warnings
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Period, Summary};

    #[test]
    fn phases_follow_one_another_and_the_last_stays() {
        let phases = [("a", Duration::from_secs(2)), ("b", Duration::ZERO), ("c", Duration::from_secs(1))];
        for (seconds, index) in [(0, 0), (1, 0), (2, 2), (99, 2)] {
            assert_eq!(phase_at(&phases, Duration::from_secs(seconds)), index);
        }
    }

    #[test]
    fn a_generator_at_its_limit_is_said_loudly() {
        let with = |name: &str, p95: f64, p99: f64| {
            let mut period = Period::default();
            period.summaries.insert(name.into(), Summary { p95, p99, ..Summary::default() });
            warnings(&period, 2)
        };
        assert!(with("generator.cpu", 170.0, 170.0)[0].contains("GENERATOR WAS THE LIMIT"));
        assert!(with("generator.lateness", 0.0, 50.0)[0].contains("50 ms"));
        assert!(with("generator.cpu", 90.0, 99.0).is_empty() && with("generator.lateness", 1.0, 5.0).is_empty());
    }
}
