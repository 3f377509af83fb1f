//! Console of a run: phases, what scripts log, warnings and checks, in Artillery's manner.

use crate::{metrics::Report, runner::Event, script::duration::show};

/// Where a run is shown.
#[derive(Debug)]
pub struct Console {
    quiet: bool,
}

impl Console {
    /// A console; a quiet one shows what scripts log, warnings and checks.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Prints a line.
    pub fn line(&self, line: &str) {
        if !self.quiet {
            println!("{line}");
        }
    }

    /// Prints a warning.
    pub fn warning(&self, warning: &str) {
        eprintln!("{warning}");
    }

    /// Shows what happens in a run.
    pub fn event(&self, event: &Event<'_>) {
        let time = || chrono::Local::now().format("%H:%M:%S(%z)");
        match event {
            Event::PhaseStarted(index, phase) => {
                let name = phase.name.as_deref().unwrap_or("unnamed");
                let duration = show(phase.load.duration());
                self.line(&format!("Phase started: {name} (index: {index}, duration: {duration}) {}\n", time()));
            }
            Event::PhaseCompleted(index, phase) => {
                let name = phase.name.as_deref().unwrap_or("unnamed");
                let duration = show(phase.load.duration());
                self.line(&format!("Phase completed: {name} (index: {index}, duration: {duration}) {}\n", time()));
            }
            Event::Log(line) => println!("{line}"),
            Event::Warning(warning) => self.warning(warning),
            Event::Second(_) | Event::Period(_) => {}
        }
    }

    /// Shows the figures of the whole run.
    pub fn summary(&self, report: &Report) {
        for (name, count) in &report.aggregate.counters {
            self.line(&format!("{name}: {count}"));
        }
        for (name, summary) in &report.aggregate.summaries {
            self.line(&format!(
                "{name}: min {:.1} max {:.1} mean {:.1} median {:.1} p95 {:.1} p99 {:.1}",
                summary.min, summary.max, summary.mean, summary.median, summary.p95, summary.p99
            ));
        }
    }

    /// Shows the checks, those that hold first.
    pub fn checks(&self, report: &Report) {
        if report.checks.is_empty() {
            return;
        }
        println!("\nChecks:");
        let mut checks: Vec<_> = report.checks.iter().collect();
        checks.sort_by_key(|check| !check.ok);
        for check in checks {
            let optional = if check.strict || check.ok { "" } else { " (optional)" };
            println!("{}: {}{optional}", if check.ok { "ok" } else { "fail" }, check.expression);
        }
    }
}
