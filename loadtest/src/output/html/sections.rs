//! Charts of a report: which figures are drawn, over which time, with which limits.

use super::chart::{Axis, Band, Chart, Series, Threshold};
use crate::{
    metrics::{Period, Report, Summary, report::PERIOD_MS},
    output::Loaded,
};

/// Prefix of figures of single endpoints: they have a table of their own.
pub(super) const ENDPOINTS: &str = "plugins.metrics-by-endpoint.";
/// Percentiles over time, with their colours.
const PERCENTILES: [(&str, usize); 3] = [("p50", 0), ("p95", 1), ("p99", 2)];

/// The runs of a page: one, or two laid over each other.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    pub(super) a: &'a Loaded,
    pub(super) b: Option<&'a Loaded>,
}

impl<'a> Runs<'a> {
    pub(super) fn each(self) -> impl Iterator<Item = (bool, &'a Loaded)> {
        std::iter::once((false, self.a)).chain(self.b.map(|b| (true, b)))
    }

    /// Names of histograms of either run that are drawn one by one, the most important first.
    fn latencies(self) -> Vec<String> {
        let mut names: Vec<String> =
            self.each().flat_map(|(_, run)| run.report.aggregate.summaries.keys().cloned()).collect();
        names.retain(|name| {
            !name.starts_with(ENDPOINTS)
                && !is_resource(name)
                && !name.ends_with("xx")
                && !name.starts_with("generator.")
        });
        names.sort_by_key(|name| (rank(name), name.clone()));
        names.dedup();
        names
    }

    /// The name of a line: with the run's, if there are two.
    fn name(self, second: bool, name: &str) -> String {
        if self.b.is_none() { name.to_owned() } else { format!("{name} {}", if second { "B" } else { "A" }) }
    }

    /// One line of each run for each name.
    fn over_time(self, names: &[(String, usize)], value: impl Fn(&Period, &str) -> Option<f64>) -> Vec<Series> {
        let mut series = Vec::new();
        for (second, run) in self.each() {
            for (name, colour) in names {
                let points = times(&run.report).filter_map(|(at, period)| Some((at, value(period, name)?))).collect();
                series.push(Series { name: self.name(second, &short(name)), colour: *colour, second, points });
            }
        }
        series.retain(|series| !series.points.is_empty());
        series
    }

    /// Phases of the first run; the second's are taken to be the same.
    fn bands(self) -> Vec<Band> {
        let report = &self.a.report;
        let start = start(report);
        let since = |at: u64| seconds(at.saturating_sub(start));
        let band = |phase: &crate::metrics::PhaseFigures| Band {
            name: phase.name.clone(),
            from: since(phase.started_at),
            to: since(phase.ended_at),
        };
        report.phases.iter().map(band).collect()
    }

    /// Limits of checks on `metric`, such as `http.response_time.p95 < 200`.
    fn thresholds(self, metric: &str) -> Vec<Threshold> {
        let limit = |check: &crate::metrics::CheckResult| {
            let (name, rest) = check.expression.split_once([' ', '<', '>'])?;
            let statistic = name.strip_prefix(metric)?.strip_prefix('.')?;
            let at = rest.trim_start_matches([' ', '<', '>', '=']).trim().parse().ok()?;
            let name = format!("{statistic} {}", rest.trim());
            Some(Threshold { name, at, ok: check.ok })
        };
        self.a.report.checks.iter().filter_map(limit).collect()
    }

    fn chart(self, id: &str, title: &str, unit: &'static str, series: Vec<Series>) -> Chart {
        let bands = self.bands();
        let (id, title) = (id.to_owned(), title.to_owned());
        Chart { id, title, unit, axis: Axis::Seconds, series, bands, thresholds: Vec::new() }
    }
}

/// Percentiles over time and the distribution, of each histogram.
pub(super) fn latency_charts(runs: Runs<'_>) -> Vec<Chart> {
    let mut charts = Vec::new();
    for (index, name) in runs.latencies().iter().take(8).enumerate() {
        let statistics = PERCENTILES.map(|(statistic, colour)| (statistic.to_owned(), colour));
        let series = runs.over_time(&statistics, |period, statistic| period.summaries.get(name)?.statistic(statistic));
        let thresholds = runs.thresholds(name);
        charts.push(Chart { thresholds, ..runs.chart(&format!("latency-{index}"), name, "ms, over time", series) });
        charts.push(distribution_chart(runs, &format!("distribution-{index}"), name));
    }
    charts.retain(|chart| !chart.is_empty());
    charts
}

/// The histogram where the report has one, else the curve through its percentiles.
fn distribution_chart(runs: Runs<'_>, id: &str, name: &str) -> Chart {
    let has_distribution = runs.each().all(|(_, run)| run.distributions.contains_key(name));
    let (axis, title) = if has_distribution {
        (Axis::Millis, "share of values, %, by how long they took")
    } else {
        (Axis::Percentile, "ms, by percentile")
    };
    let points = |run: &Loaded| match (
        has_distribution,
        run.distributions.get(name),
        run.report.aggregate.summaries.get(name),
    ) {
        (true, Some(distribution), _) => shares(distribution),
        (false, _, Some(summary)) => curve(summary),
        _ => Vec::new(),
    };
    let line = |(second, run)| Series { name: runs.name(second, "all"), colour: 3, second, points: points(run) };
    let series = runs.each().map(line).collect();
    Chart { axis, bands: Vec::new(), ..runs.chart(id, name, title, series) }
}

/// Percent of all values within each of twenty steps a decade.
fn shares(distribution: &[(f64, u64)]) -> Vec<(f64, f64)> {
    const STEPS: f64 = 10.0;
    let total: u64 = distribution.iter().map(|(_, count)| count).sum();
    let mut bins: std::collections::BTreeMap<i64, u64> = std::collections::BTreeMap::new();
    for (value, count) in distribution {
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a time is small")]
        let bin = (value.max(0.001).log10() * STEPS).floor() as i64;
        *bins.entry(bin).or_default() += count;
    }
    let (Some(first), Some(last)) = (bins.keys().next().copied(), bins.keys().last().copied()) else {
        return Vec::new();
    };
    #[expect(clippy::cast_precision_loss, reason = "bins and counts below 2^53")]
    let share = |bin: i64| {
        let count = bins.get(&bin).copied().unwrap_or(0);
        (10_f64.powf((bin as f64 + 0.5) / STEPS), count as f64 * 100.0 / total.max(1) as f64)
    };
    (first - 1..=last + 1).map(share).collect()
}

fn curve(summary: &Summary) -> Vec<(f64, f64)> {
    let Summary { min, p50, p75, p90, p95, p99, p999, .. } = *summary;
    vec![(0.0, min), (50.0, p50), (75.0, p75), (90.0, p90), (95.0, p95), (99.0, p99), (99.9, p999)]
}

/// Rates, users, errors, processor time and memory over time.
pub(super) fn run_charts(runs: Runs<'_>) -> Vec<Chart> {
    let rates = names(runs, |report| report.aggregate.rates.keys().cloned().collect());
    let counters = |wanted: &dyn Fn(&str) -> bool| {
        names(runs, |report| report.aggregate.counters.keys().filter(|name| wanted(name)).cloned().collect())
    };
    let users =
        counters(&|name| ["vusers.created", "vusers.completed", "vusers.failed", "vusers.skipped"].contains(&name));
    let errors = counters(&|name| is_trouble(name));
    let resources = |suffix: &'static str| {
        names(runs, move |report| {
            report.aggregate.summaries.keys().filter(|name| name.ends_with(suffix)).cloned().collect()
        })
    };
    let (cpu, memory, late) = (resources(".cpu"), resources(".memory"), resources(".lateness"));
    let mean = |period: &Period, name: &str| Some(period.summaries.get(name)?.mean);
    let p99 = |period: &Period, name: &str| Some(period.summaries.get(name)?.p99);
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    let count = |period: &Period, name: &str| Some(period.counters.get(name).copied().unwrap_or(0) as f64);
    #[expect(clippy::cast_precision_loss, reason = "rates below 2^53")]
    let rate = |period: &Period, name: &str| Some(period.rates.get(name).copied().unwrap_or(0) as f64);
    let mut charts = vec![
        runs.chart("throughput", "Throughput", "a second", runs.over_time(&rates, rate)),
        runs.chart("users", "Virtual users", "in ten seconds", runs.over_time(&users, count)),
        runs.chart("errors", "Errors", "in ten seconds", runs.over_time(&errors, count)),
        runs.chart("cpu", "Processor time", "% of a core", runs.over_time(&cpu, mean)),
        runs.chart("memory", "Memory", "MB", runs.over_time(&memory, mean)),
        runs.chart("late", "Lateness of the generator, p99", "ms", runs.over_time(&late, p99)),
    ];
    charts.retain(|chart| !chart.is_empty());
    charts
}

/// At most six names, each with a colour.
fn names(runs: Runs<'_>, of: impl Fn(&Report) -> Vec<String>) -> Vec<(String, usize)> {
    let mut names: Vec<String> = runs.each().flat_map(|(_, run)| of(&run.report)).collect();
    names.sort();
    names.dedup();
    names.into_iter().take(6).enumerate().map(|(colour, name)| (name, colour)).collect()
}

/// Middle of each period in seconds since the start, and the period.
fn times(report: &Report) -> impl Iterator<Item = (f64, &Period)> {
    let start = start(report);
    report.intermediate.iter().filter_map(move |period| {
        // A period that began before the run or ends after it is drawn at the middle of what the run has of it.
        let from = period.period.as_ref()?.millis();
        let last = period.last_metric_at.unwrap_or(from + PERIOD_MS).clamp(from, from + PERIOD_MS);
        let first = period.first_metric_at.unwrap_or(from).clamp(from, last);
        Some((seconds(u64::midpoint(first, last).saturating_sub(start)), period))
    })
}

fn start(report: &Report) -> u64 {
    let first = || report.intermediate.first().and_then(|period| period.first_metric_at);
    report.run.as_ref().map(|run| run.started_at).filter(|at| *at > 0).or_else(first).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "the length of a run in milliseconds")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

fn is_resource(name: &str) -> bool {
    [".cpu", ".memory", ".lateness"].iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a counter counts what should not happen.
pub(super) fn is_trouble(name: &str) -> bool {
    name.starts_with("errors.")
        || name.starts_with("chat.lost")
        || name.starts_with("chat.closed.")
        || ["chat.gaps", "chat.duplicates", "chat.reordered", "chat.refused", "chat.unentitled"].contains(&name)
        || name.starts_with("http.codes.5")
}

fn rank(name: &str) -> usize {
    const FIRST: [&str; 5] = ["http.response_time", "chat.latency", "chat.ack", "websocket", "socketio.response_time"];
    FIRST.iter().position(|first| name.starts_with(first)).unwrap_or(FIRST.len())
}

/// A name short enough to stand beside its line.
fn short(name: &str) -> String {
    let name = name.trim_start_matches("vusers.").trim_start_matches("errors.").trim_start_matches("process.");
    let mut short: String = name.chars().take(19).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CheckResult, PhaseFigures, RunInfo, report::PeriodStart};

    fn loaded() -> Loaded {
        let mut report = Report::default();
        for index in 0..3 {
            let at = 1_000_000 + index * 10_000;
            let mut period = Period {
                period: Some(PeriodStart::Text(at.to_string())),
                first_metric_at: Some(at),
                last_metric_at: Some(at + 10_000),
                ..Period::default()
            };
            period.summaries.insert("http.response_time".into(), Summary { p95: 12.0, ..Summary::default() });
            period.summaries.insert("generator.cpu".into(), Summary { mean: 50.0, ..Summary::default() });
            period.counters.insert("errors.ETIMEDOUT".into(), index);
            report.aggregate = period.clone();
            report.intermediate.push(period);
        }
        report.run = Some(RunInfo { started_at: 1_000_000, ..RunInfo::default() });
        let name = "ramp".to_owned();
        report.phases.push(PhaseFigures {
            name,
            started_at: 1_000_000,
            ended_at: 1_030_000,
            ..PhaseFigures::default()
        });
        let expression = "http.response_time.p95 < 200".to_owned();
        report.checks.push(CheckResult { expression, ok: true, strict: true, value: None });
        Loaded { report, ..Loaded::default() }
    }

    #[test]
    fn times_are_since_the_start_and_limits_are_those_of_the_metric() {
        let run = loaded();
        let charts = latency_charts(Runs { a: &run, b: None });
        let latency = &charts[0];
        assert_eq!(latency.series[1].points, [(5.0, 12.0), (15.0, 12.0), (25.0, 12.0)]);
        assert!((latency.thresholds[0].at - 200.0).abs() < 1e-9 && latency.bands[0].to > 29.0);
        assert_eq!(latency.thresholds[0].name, "p95 < 200");
    }

    #[test]
    fn two_runs_lie_over_each_other_with_the_same_colours() {
        let run = loaded();
        let charts = run_charts(Runs { a: &run, b: Some(&run) });
        let errors = charts.iter().find(|chart| chart.id == "errors").expect("a chart of errors");
        assert_eq!(errors.series.iter().map(|series| series.second).collect::<Vec<_>>(), [false, true]);
        assert!(errors.series[0].colour == errors.series[1].colour && errors.series[1].name.ends_with(" B"));
        assert!(charts.iter().any(|chart| chart.id == "cpu") && !charts.iter().any(|chart| chart.id == "memory"));
    }

    #[test]
    fn shares_are_percent_of_all() {
        let shares = shares(&[(0.5, 10), (5.0, 30), (5.1, 60)]);
        assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 100.0).abs() < 1e-6);
        assert_eq!(shares.first().map(|(_, share)| *share), Some(0.0));
    }
}
