//! Watch on processes while a run lasts: processor time and memory of the generator and of what it tests.

use std::time::{Duration, Instant};

use crate::{
    metrics::{Histogram, Recorder},
    process,
};

/// A process that is watched.
#[derive(Debug)]
struct Watched {
    pid: u32,
    cpu: String,
    memory: String,
    used: Duration,
    at: Instant,
}

/// Processes that are watched, the generator first.
#[derive(Debug)]
pub struct Watch {
    processes: Vec<Watched>,
    generator_cpu: Histogram,
}

impl Watch {
    /// Watches this process as `generator`, and others as `process.NAME`.
    #[must_use]
    pub fn new(others: &[(String, u32)]) -> Self {
        let others = others.iter().map(|(name, pid)| (format!("process.{name}"), *pid));
        let all = std::iter::once(("generator".to_owned(), std::process::id())).chain(others);
        let processes = all
            .map(|(name, pid)| Watched {
                pid,
                cpu: format!("{name}.cpu"),
                memory: format!("{name}.memory"),
                used: process::cpu(pid).unwrap_or_default(),
                at: Instant::now(),
            })
            .collect();
        Self { processes, generator_cpu: Histogram::default() }
    }

    /// Records what each process used since the last time: `cpu` in percent of one core, `memory` in MB. What has
    /// ended is left out. Returns the generator's processor time in percent.
    pub fn sample(&mut self, recorder: &Recorder) -> f64 {
        let mut generator = 0.0;
        for (index, watched) in self.processes.iter_mut().enumerate() {
            let Ok(used) = process::cpu(watched.pid) else { continue };
            let passed = watched.at.elapsed().as_secs_f64().max(0.001);
            let percent = used.saturating_sub(watched.used).as_secs_f64() / passed * 100.0;
            (watched.used, watched.at) = (used, Instant::now());
            let memory = process::resident(watched.pid).unwrap_or(0);
            recorder.with(0, |window| {
                window.record(&watched.cpu, percent);
                window.record(&watched.memory, megabytes(memory));
            });
            if index == 0 {
                self.generator_cpu.record(percent);
                generator = percent;
            }
        }
        generator
    }

    /// What the generator used in most seconds, in percent of one core: nine in ten were not above it.
    #[must_use]
    pub fn generator_p90(&self) -> f64 {
        self.generator_cpu.quantile(0.9)
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
