//! Figures of one measurement by name, their medians over rounds, and tables of them.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use super::{fanout::Cost, to_f64};
use crate::output::{
    statistics::{median, spread},
    summary::number,
};

/// Named figures of one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(super) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied().filter(|value| value.is_finite())
    }

    /// Latency, cost and loss of a measured chat load.
    pub(super) fn of_cost(cost: &Cost) -> Self {
        let (mut figures, measured) = (Self::default(), &cost.measured);
        for (what, histogram) in [("delivery", &measured.latency), ("ack", &measured.acked)] {
            for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                let value = if histogram.is_empty() {
                    f64::NAN
                } else {
                    to_f64(histogram.value_at_quantile(quantile)) / 1000.0
                };
                figures.set(format!("{what} {name} ms"), value);
            }
        }
        let messages =
            to_f64(measured.deliveries) / to_f64((measured.sums.received / measured.acknowledged.max(1)).max(1));
        for (group, name) in [("server", "server µs a delivery"), ("generator", "generator µs a delivery")] {
            figures.set(name, cost.micros_a_delivery(group));
        }
        figures.set("redis µs a message", cost.seconds("redis") * 1e6 / messages.max(1.0));
        figures.set("deliveries a second", to_f64(measured.deliveries) / measured.seconds);
        figures.set("server MiB", to_f64(cost.after.memory("server")) / 1_048_576.0);
        figures.set("late p99 ms", to_f64(measured.late.value_at_quantile(0.99)) / 1000.0);
        let wrong = measured.sums.duplicates + measured.sums.reordered + measured.order_differs;
        figures.set("lost", to_f64(measured.lost()));
        figures.set("repeated or reordered", to_f64(wrong));
        figures
    }
}

/// The rounds of one subject.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    rounds: Vec<Figures>,
}

impl Series {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rounds: Vec::new() }
    }

    pub(super) fn add(&mut self, figures: Figures) {
        self.rounds.push(figures);
    }

    /// The figure of every round that has it.
    pub(super) fn values(&self, name: &str) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.get(name)).collect()
    }

    /// `figure` of each round as a multiple of the same round's of `base`.
    pub(super) fn ratios(&self, base: &Self, figure: &str) -> Vec<f64> {
        let pairs = self.rounds.iter().zip(&base.rounds);
        pairs
            .filter_map(|(round, base)| Some(round.get(figure)? / base.get(figure).filter(|base| *base > 0.0)?))
            .collect()
    }

    /// Adds the same round's ratios of `figure` to `base` as a figure of its own.
    pub(super) fn add_ratios(&mut self, base: &Self, figure: &str, name: &str) {
        let ratios: Vec<Option<f64>> = self
            .rounds
            .iter()
            .zip(&base.rounds)
            .map(|(round, base)| Some(round.get(figure)? / base.get(figure).filter(|base| *base > 0.0)?))
            .collect();
        for (round, ratio) in self.rounds.iter_mut().zip(ratios) {
            if let Some(ratio) = ratio {
                round.set(name, ratio);
            }
        }
    }

    pub(super) fn json(&self) -> Value {
        let rounds: Vec<Value> = self.rounds.iter().map(|round| json!(round.0)).collect();
        json!({"subject": self.name, "rounds": rounds})
    }
}

/// Median, and the smallest and largest round if there are several.
pub(super) fn cell(values: &[f64]) -> String {
    match values {
        [] => "–".to_owned(),
        [only] => number(rounded(*only)),
        several => {
            let (low, high) = spread(several);
            let [middle, low, high] = [median(several), low, high].map(|value| number(rounded(value)));
            if low == high { middle } else { format!("{middle} ({low}–{high})") }
        }
    }
}

/// Three digits: more are noise.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || value.abs() >= 100.0 {
        return value.round();
    }
    let digits = 10_f64.powf(2.0 - value.abs().log10().floor());
    (value * digits).round() / digits
}

/// A Markdown table: a line for each figure, a column for each subject; with `base`, the ratio of the last column to it.
pub(super) fn markdown(series: &[Series], figures: &[&str], base: Option<&str>) -> String {
    let base = base.and_then(|name| series.iter().find(|series| series.name == name));
    let others: Vec<&Series> =
        base.map_or_else(Vec::new, |base| series.iter().filter(|series| series.name != base.name).collect());
    let mut text = String::from("| |");
    for one in series {
        let _ = write!(text, " {} |", one.name);
    }
    for _ in &others {
        text.push_str(" ratio |");
    }
    text.push_str("\n|");
    for _ in 0..=series.len() + others.len() {
        text.push_str(" --- |");
    }
    text.push('\n');
    for figure in figures.iter().filter(|figure| series.iter().any(|one| !one.values(figure).is_empty())) {
        let _ = write!(text, "| {figure} |");
        for one in series {
            let _ = write!(text, " {} |", cell(&one.values(figure)));
        }
        for other in &others {
            let ratios = base.map(|base| other.ratios(base, figure)).unwrap_or_default();
            let _ = write!(text, " {} |", cell(&ratios));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: &[f64]) -> Series {
        let mut series = Series::new(name);
        for value in values {
            let mut figures = Figures::default();
            figures.set("p95 ms", *value);
            series.add(figures);
        }
        series
    }

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let (slow, fast) = (series("slow", &[10.0, 20.0, 12.0]), series("fast", &[5.0, 5.0, 6.0]));
        let text = markdown(&[slow.clone(), fast.clone()], &["p95 ms", "nothing"], Some("slow"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| | slow | fast | ratio |");
        assert_eq!(lines[2], "| p95 ms | 12 (10–20) | 5 (5–6) | 0.5 (0.25–0.5) |");
        assert_eq!(lines.len(), 3);
        let mut with = fast;
        with.add_ratios(&slow, "p95 ms", "× slow");
        assert_eq!(with.values("× slow"), [0.5, 0.25, 0.5]);
    }

    #[test]
    fn cells_have_three_digits() {
        for (values, text) in [
            (&[][..], "–"),
            (&[0.0], "0"),
            (&[1234.56], "1235"),
            (&[0.012345], "0.012"),
            (&[6.789], "6.79"),
            (&[45.678], "45.7"),
            (&[2.0, 2.0], "2"),
            (&[1.0, 2.0, 9.0], "2 (1–9)"),
        ] {
            assert_eq!(cell(values), text, "{values:?}");
        }
    }
}
