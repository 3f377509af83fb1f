//! What a measurement prints: a table for people, JSON for programs.

use hdrhistogram::Histogram;
use serde_json::{Map, Value};

/// Named figures with the conditions they hold under, in the order they were added.
#[derive(Clone, Debug)]
pub struct Report {
    name: &'static str,
    rows: Vec<(String, Value)>,
}

impl Report {
    /// An empty report of the measurement `name`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// Adds a figure or a condition.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.rows.push((name.into(), value.into()));
    }

    /// Adds a figure rounded to two decimals.
    pub fn add_rounded(&mut self, name: impl Into<String>, value: f64) {
        self.add(name, (value * 100.0).round() / 100.0);
    }

    /// A figure, if it is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.rows.iter().find(|(row, _)| row == name)?.1.as_f64()
    }

    /// Prints the table, then the JSON on one line.
    pub fn print(&self) {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        println!("{}", self.name);
        for (name, value) in &self.rows {
            println!("  {name:width$}  {value}");
        }
        println!("{}", self.json());
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        let mut object: Map<String, Value> = Map::new();
        object.insert("measurement".into(), self.name.into());
        object.extend(self.rows.iter().map(|(name, value)| (name.replace(' ', "_"), value.clone())));
        Value::Object(object)
    }
}

/// The machine that everything runs on.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, {}, generator on the same machine", processor())
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    model.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.to_owned())
}

/// Adds the percentiles of a histogram of microseconds, in milliseconds.
pub(crate) fn add_percentiles(report: &mut Report, what: &str, histogram: &Histogram<u64>) {
    for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
        report.add_rounded(format!("{what} {name} ms"), to_f64(histogram.value_at_quantile(quantile)) / 1000.0);
    }
}

/// A count as a number to divide with.
#[expect(clippy::cast_precision_loss, reason = "a figure to print: its first 15 digits are enough")]
pub(crate) const fn to_f64(count: u64) -> f64 {
    count as f64
}
