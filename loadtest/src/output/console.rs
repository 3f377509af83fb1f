//! Console of a run: a live view that is redrawn every second on a terminal, Artillery's plain lines elsewhere.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::summary::{lines, number};
use crate::metrics::{CheckResult, Period, Report, Window};

/// A line between blocks.
const RULE: &str = "--------------------------------------";

/// Where a run stands: what the live view shows.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Name of the phase under way.
    pub phase: String,
    /// Time since the start.
    pub elapsed: Duration,
    /// Time that all phases take; zero if that is not known.
    pub total: Duration,
    /// Users under way.
    pub users: u64,
    /// Processor time of the generator in percent of one core.
    pub generator_cpu: f64,
}

/// What a run prints, and where to.
#[derive(Debug)]
pub struct Console {
    quiet: bool,
    terminal: bool,
    /// Lines of the live view that stand on the terminal.
    drawn: usize,
}

impl Console {
    /// A console on standard output. A quiet one prints warnings and checks only.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, terminal: io::stdout().is_terminal(), drawn: 0 }
    }

    /// Prints a line above the live view.
    pub fn line(&mut self, text: &str) {
        if !self.quiet {
            self.print(&format!("{text}\n"));
        }
    }

    /// Prints something that must not go unnoticed, also when quiet.
    pub fn warn(&mut self, text: &str) {
        let text = if self.terminal { format!("\x1b[1;31m{text}\x1b[0m\n") } else { format!("{text}\n") };
        self.print(&text);
    }

    /// A phase has begun.
    pub fn phase_started(&mut self, index: usize, name: &str, duration: Duration, now: DateTime<Utc>) {
        let seconds = duration.as_secs_f64();
        let at = clock(now);
        self.line(&format!("Phase started: {name} (index: {index}, duration: {}s) {at}\n", number(seconds)));
    }

    /// A phase is over.
    pub fn phase_completed(&mut self, index: usize, name: &str, duration: Duration, now: DateTime<Utc>) {
        let seconds = duration.as_secs_f64();
        let at = clock(now);
        self.line(&format!("Phase completed: {name} (index: {index}, duration: {}s) {at}\n", number(seconds)));
    }

    /// Redraws the live view with what was recorded in the last second. Does nothing where there is no terminal.
    pub fn live(&mut self, second: &Window, progress: &Progress) {
        if self.quiet || !self.terminal {
            return;
        }
        let view = live_view(second, progress);
        let up = up(self.drawn);
        self.drawn = view.lines().count();
        write(&format!("{up}{view}"));
    }

    /// Prints a period of ten seconds where there is no terminal; there the live view has shown it.
    pub fn period(&mut self, period: &Period, now: DateTime<Utc>) {
        if !self.terminal {
            let width = period.last_metric_at.zip(period.first_metric_at).map_or(0, |(last, first)| last - first);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a period")]
            let width = width as f64 / 1000.0;
            let head = format!("Metrics for period to: {} (width: {width:.3}s)", clock(now));
            self.line(&format!("{RULE}\n{head}\n{RULE}\n\n{}", lines(period)));
        }
    }

    /// Prints the summary, then warnings and checks.
    pub fn finished(&mut self, report: &Report, now: DateTime<Utc>) {
        self.line(&format!("{RULE}\nSummary report @ {}\n{RULE}\n\n{}", clock(now), lines(&report.aggregate)));
        for warning in report.run.iter().flat_map(|run| &run.warnings) {
            self.warn(&format!("WARNING: {warning}"));
        }
        if !report.checks.is_empty() {
            self.print(&checks(&report.checks));
        }
    }

    fn print(&mut self, text: &str) {
        let up = up(std::mem::take(&mut self.drawn));
        write(&format!("{up}{text}"));
    }
}

/// Moves to the first line of the live view and clears all below.
fn up(lines: usize) -> String {
    if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") }
}

fn write(text: &str) {
    let mut out = io::stdout().lock();
    // A closed pipe ends the output, not the run.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

fn clock(now: DateTime<Utc>) -> String {
    now.format("%H:%M:%S(%z)").to_string()
}

/// `Checks:` and a line for each.
pub fn checks(checks: &[CheckResult]) -> String {
    let mut text = String::from("\nChecks:\n");
    for check in checks {
        let (outcome, optional) = (if check.ok { "ok" } else { "fail" }, if check.strict { "" } else { " (optional)" });
        let value = check.value.filter(|_| !check.ok).map(|value| format!(" (was {})", number(value)));
        let _ = writeln!(text, "{outcome}: {}{optional}{}", check.expression, value.unwrap_or_default());
    }
    text
}

/// Rates, percentiles, errors and the generator's load of one second.
fn live_view(second: &Window, progress: &Progress) -> String {
    let mut text = String::new();
    let total = progress.total.as_secs();
    let of = if total > 0 { format!(" of {total}") } else { String::new() };
    let _ = writeln!(
        text,
        "{} · {}{of} s · {} users · generator {:.0} % of a core",
        progress.phase,
        progress.elapsed.as_secs(),
        progress.users,
        progress.generator_cpu
    );
    let mut counters: Vec<(&str, u64)> = second.counters().filter(|(name, count)| shown(name) && *count > 0).collect();
    counters.sort_unstable();
    let (errors, events): (Vec<_>, Vec<_>) = counters.into_iter().partition(|(name, _)| name.starts_with("errors."));
    let row = |items: &[(&str, u64)]| {
        items.iter().take(6).map(|(name, count)| format!("{name} {count}/s")).collect::<Vec<_>>().join("  ")
    };
    let _ = writeln!(text, "  {}", row(&events));
    let mut histograms: Vec<_> = second.histograms().filter(|(name, _)| shown(name)).collect();
    histograms.sort_by_key(|(name, _)| *name);
    for (name, histogram) in histograms.into_iter().take(4) {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|q| number(histogram.quantile(q)));
        let _ = writeln!(text, "  {name}: p50 {p50}  p95 {p95}  p99 {p99} ms");
    }
    let red = if errors.is_empty() { ("", "") } else { ("\x1b[31m", "\x1b[0m") };
    let none = if errors.is_empty() { "no errors" } else { "" };
    let _ = writeln!(text, "  {}{}{none}{}", red.0, row(&errors), red.1);
    text
}

fn shown(name: &str) -> bool {
    !name.starts_with("plugins.") && !name.starts_with("vusers.created_by_name") && !name.ends_with("xx")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_view_has_rates_percentiles_errors_and_the_generator() {
        let mut second = Window::default();
        second.count("http.requests", 120);
        second.count("errors.ETIMEDOUT", 3);
        for _ in 0..100 {
            second.record("http.response_time", 2.5);
        }
        let progress = Progress {
            phase: "ramp".into(),
            elapsed: Duration::from_secs(7),
            total: Duration::from_secs(60),
            users: 12,
            generator_cpu: 81.4,
        };
        let view = live_view(&second, &progress);
        for part in ["ramp · 7 of 60 s · 12 users · generator 81 %", "http.requests 120/s", "p99 2.5", "ETIMEDOUT 3/s"]
        {
            assert!(view.contains(part), "{part} in {view}");
        }
        assert!(live_view(&Window::default(), &progress).contains("no errors"));
    }

    #[test]
    fn checks_say_what_failed() {
        let check = |ok, strict| CheckResult { expression: "p95 < 1".into(), ok, strict, value: Some(4.25) };
        let text = checks(&[check(true, true), check(false, false)]);
        assert_eq!(text, "\nChecks:\nok: p95 < 1\nfail: p95 < 1 (optional) (was 4.25)\n");
    }
}
