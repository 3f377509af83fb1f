//! Figures of a period in Artillery's lines: names dotted to 79 columns, rates with `/sec`, histograms as a head line
//! and `min max mean median p95 p99` below it.

use std::fmt::Write;

use crate::metrics::{Period, Summary};

/// Column in which a line ends.
const WIDTH: usize = 79;
/// Prefix of figures that are in the report and not on the console.
const HIDDEN: &str = "plugins.metrics-by-endpoint.";

/// The lines of a period, sorted by name.
pub fn lines(period: &Period) -> String {
    let counters = period.counters.iter().map(|(name, count)| (name, count.to_string()));
    let rates = period.rates.iter().map(|(name, rate)| (name, format!("{rate}/sec")));
    let histograms = period.summaries.iter().map(|(name, summary)| (name, block(summary)));
    let mut figures: Vec<(&String, String)> =
        counters.chain(rates).chain(histograms).filter(|(name, _)| !name.starts_with(HIDDEN)).collect();
    figures.sort();
    let mut text = String::new();
    for (name, value) in figures {
        if value.starts_with('\n') {
            let _ = writeln!(text, "{name}:{value}");
        } else {
            let _ = writeln!(text, "{}", dotted(name, &value, ""));
        }
    }
    text
}

/// `name: ........ value`, the value ending where others end, if there is room.
fn dotted(name: &str, value: &str, indent: &str) -> String {
    let used = indent.len() + name.chars().count() + 2 + 1 + value.len();
    format!("{indent}{name}: {:.<dots$} {value}", "", dots = WIDTH.saturating_sub(used).max(1))
}

fn block(summary: &Summary) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("min", summary.min),
        ("max", summary.max),
        ("mean", summary.mean),
        ("median", summary.median),
        ("p95", summary.p95),
        ("p99", summary.p99),
    ] {
        let _ = write!(text, "\n{}", dotted(name, &number(value), "  "));
    }
    text
}

/// A value with as many decimals as it needs to be told from others: one as Artillery has it, three below 10.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        small if small < 10.0 => 3,
        _ => 1,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_artillery_s_lines() {
        let mut period = Period::default();
        period.counters.insert("http.requests".into(), 12);
        period.counters.insert("plugins.metrics-by-endpoint./a.codes.200".into(), 12);
        period.rates.insert("http.request_rate".into(), 5);
        let summary =
            Summary { min: 0.25, max: 31.26, mean: 4.0, median: 3.5, p95: 30.0, p99: 31.0, ..Summary::default() };
        period.summaries.insert("http.response_time".into(), summary);
        let text = lines(&period);
        let expected = [
            "http.request_rate: ..................................................... 5/sec",
            "http.requests: ............................................................. 12",
            "http.response_time:",
            "  min: .................................................................. 0.25",
            "  max: .................................................................. 31.3",
        ];
        for (line, expected) in text.lines().zip(expected) {
            assert_eq!(line.replace(['.', ' '], ""), expected.replace(['.', ' '], ""));
        }
        assert_eq!(text.lines().filter(|line| !line.ends_with(':')).map(str::len).max(), Some(WIDTH), "{text}");
        assert!(!text.contains("by-endpoint") && text.lines().count() == 9, "{text}");
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(0.0, "0"), (0.1234, "0.123"), (12.0, "12"), (12.34, "12.3"), (1200.0, "1200")] {
            assert_eq!(number(value), text);
        }
    }
}
