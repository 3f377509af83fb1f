//! Comparison of two reports: each figure of both, their ratio, and whether the difference is larger than the noise.
//!
//! The noise of a figure is how much it changes from one period of ten seconds to the next within each run; a
//! difference counts if it is larger than that at 95 % (Welch's t-test).

use std::collections::BTreeSet;

use super::{Loaded, statistics::differ, summary::number};
use crate::metrics::{Period, Report};

/// Statistics of a histogram that are compared.
const STATISTICS: [&str; 4] = ["mean", "p50", "p95", "p99"];

/// One figure of two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, such as `http.response_time.p95`.
    pub name: String,
    /// The first run's.
    pub a: Option<f64>,
    /// The second run's.
    pub b: Option<f64>,
    /// Whether they differ by more than the noise; `None` if there are too few periods to say.
    pub differs: Option<bool>,
}

impl Row {
    /// The second run's as a multiple of the first's.
    pub fn ratio(&self) -> Option<f64> {
        match (self.a, self.b) {
            (Some(a), Some(b)) if a != 0.0 => Some(b / a),
            _ => None,
        }
    }
}

/// Where a figure is in a period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    Counter(String),
    Rate(String),
    Summary(String, &'static str),
}

impl Figure {
    fn name(&self) -> String {
        match self {
            Self::Counter(name) | Self::Rate(name) => name.clone(),
            Self::Summary(name, statistic) => format!("{name}.{statistic}"),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    fn of(&self, period: &Period) -> Option<f64> {
        match self {
            Self::Counter(name) => period.counters.get(name).map(|count| *count as f64),
            Self::Rate(name) => period.rates.get(name).map(|rate| *rate as f64),
            Self::Summary(name, statistic) => period.summaries.get(name)?.statistic(statistic),
        }
    }

    fn all(report: &Report) -> impl Iterator<Item = Self> {
        let Period { counters, rates, summaries, .. } = &report.aggregate;
        let of_histogram = |name: &String| STATISTICS.map(|statistic| Self::Summary(name.clone(), statistic));
        let counters = counters.keys().cloned().map(Self::Counter);
        counters.chain(rates.keys().cloned().map(Self::Rate)).chain(summaries.keys().flat_map(of_histogram))
    }
}

/// Every figure of either report, sorted by kind and name.
pub fn rows(a: &Report, b: &Report) -> Vec<Row> {
    let figures: BTreeSet<Figure> = Figure::all(a).chain(Figure::all(b)).collect();
    let samples = |report: &Report, figure: &Figure| -> Vec<f64> {
        let inner = inner_periods(report);
        inner.iter().filter_map(|period| figure.of(period)).collect()
    };
    figures
        .into_iter()
        .map(|figure| Row {
            name: figure.name(),
            a: figure.of(&a.aggregate),
            b: figure.of(&b.aggregate),
            differs: differ(&samples(a, &figure), &samples(b, &figure)),
        })
        .collect()
}

/// The periods that a run filled: without the first and the last, which it shares with what was before and after.
fn inner_periods(report: &Report) -> &[Period] {
    match &report.intermediate[..] {
        [_, inner @ .., _] if inner.len() >= 3 => inner,
        all => all,
    }
}

/// A table for people.
pub fn table(a: &Loaded, b: &Loaded) -> String {
    let rows = rows(&a.report, &b.report);
    let cells: Vec<[String; 5]> = rows.iter().map(cells).collect();
    let heads = ["", &a.label, &b.label, "ratio", "larger than the noise"].map(str::to_owned);
    let all: Vec<&[String; 5]> = std::iter::once(&heads).chain(&cells).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &&[String; 5]| {
        let [name, a, b, ratio, differs] = row;
        let [w0, w1, w2, w3, _] = widths[..] else { return String::new() };
        format!("{name:w0$}  {a:>w1$}  {b:>w2$}  {ratio:>w3$}  {differs}").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}

fn cells(row: &Row) -> [String; 5] {
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let differs = match row.differs {
        Some(true) => "yes",
        Some(false) => "no",
        None => "too few periods",
    };
    let ratio = row.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    [row.name.clone(), value(row.a), value(row.b), ratio, differs.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Summary;

    fn report(p95: &[f64]) -> Report {
        let period = |p95: &f64| {
            let mut period = Period::default();
            period.counters.insert("http.requests".into(), 100);
            period
                .summaries
                .insert("http.response_time".into(), Summary { p95: *p95, count: 100, ..Summary::default() });
            period
        };
        let aggregate = period(&(p95.iter().sum::<f64>() / 5.0));
        Report { aggregate, intermediate: p95.iter().map(period).collect(), ..Report::default() }
    }

    fn p95_row(a: &[f64], b: &[f64]) -> Row {
        let rows = rows(&report(a), &report(b));
        rows.into_iter().find(|row| row.name == "http.response_time.p95").expect("a row")
    }

    #[test]
    fn a_difference_within_the_noise_is_none() {
        let row = p95_row(&[10.0, 12.0, 9.0, 11.0, 10.0], &[11.0, 9.0, 12.0, 10.0, 11.0]);
        assert_eq!(row.differs, Some(false));
        let row = p95_row(&[10.0, 12.0, 9.0, 11.0, 10.0], &[31.0, 29.0, 32.0, 30.0, 31.0]);
        assert_eq!((row.differs, row.ratio().map(f64::round)), (Some(true), Some(3.0)));
        assert_eq!(p95_row(&[10.0], &[30.0]).differs, None);
    }

    #[test]
    fn the_table_names_both_runs_and_what_only_one_has() {
        let mut other = report(&[1.0, 1.0, 1.0, 1.0, 1.0]);
        other.aggregate.counters.insert("errors.ETIMEDOUT".into(), 3);
        let loaded = |label: &str, report| Loaded { label: label.into(), report, ..Loaded::default() };
        let text = table(&loaded("before", report(&[1.0; 5])), &loaded("after", other));
        assert!(text.starts_with(' ') && text.contains("before") && text.contains("after"), "{text}");
        let errors = text.lines().find(|line| line.starts_with("errors.ETIMEDOUT")).expect("a line");
        assert!(errors.contains('–') && errors.contains('3'), "{errors}");
    }
}
