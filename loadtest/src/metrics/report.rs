//! Report of a load test: Artillery's keys and shape, with `run`, `phases` and `checks` of our own beside them.
//!
//! `aggregate` is the whole run, `intermediate` its slices of ten seconds of the wall clock. Reads reports of both
//! programs: a counter that Artillery wrote as `null` (its `NaN`) reads as 0, and unknown keys are skipped.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Length of a period in milliseconds of the wall clock.
pub const PERIOD_MS: u64 = 10_000;

/// The whole report file.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Figures of the whole run.
    pub aggregate: Period,
    /// Figures of each period of ten seconds, oldest first.
    #[serde(default)]
    pub intermediate: Vec<Period>,
    /// Figures of each phase, in the order of the script. Empty in Artillery's reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseFigures>,
    /// Outcome of each check of `ensure`. Empty in Artillery's reports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckResult>,
    /// Conditions of the run. Absent in Artillery's reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunInfo>,
}

/// Figures of a stretch of time. Times are milliseconds since 1970.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Period {
    /// Events by name, such as `http.requests`. A counter that was never incremented is absent.
    #[serde(deserialize_with = "lenient_numbers")]
    pub counters: BTreeMap<String, u64>,
    /// Events per second by name, such as `http.request_rate`; whole numbers.
    #[serde(deserialize_with = "lenient_numbers")]
    pub rates: BTreeMap<String, u64>,
    /// First increment of a counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_counter_at: Option<u64>,
    /// First value of a histogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_histogram_at: Option<u64>,
    /// Last increment of a counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_counter_at: Option<u64>,
    /// Last value of a histogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_histogram_at: Option<u64>,
    /// First of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_metric_at: Option<u64>,
    /// Last of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_metric_at: Option<u64>,
    /// Start of the slice of the wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<PeriodStart>,
    /// Distributions by name: times in milliseconds, `*.cpu` in percent of one core, `*.memory` in megabytes.
    pub summaries: BTreeMap<String, Summary>,
    /// The same as `summaries`: Artillery writes them twice.
    pub histograms: BTreeMap<String, Summary>,
}

/// Start of a period: Artillery writes a number in the aggregate and a text in the intermediates.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PeriodStart {
    /// In the aggregate.
    Number(u64),
    /// In an intermediate.
    Text(String),
}

impl PeriodStart {
    /// Milliseconds since 1970; 0 for a text that is no number.
    #[must_use]
    pub fn millis(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(0),
        }
    }
}

/// Summary of a distribution.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the statistics")]
pub struct Summary {
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub min: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub max: f64,
    pub count: u64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub mean: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub p50: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub median: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub p75: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub p90: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub p95: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub p99: f64,
    #[serde(deserialize_with = "lenient_number", serialize_with = "short")]
    pub p999: f64,
}

impl Summary {
    /// One statistic by the name that checks use: `min`, `p95`, `count`, …
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count below 2^53")]
    pub fn statistic(&self, name: &str) -> Option<f64> {
        Some(match name {
            "min" => self.min,
            "max" => self.max,
            "count" => self.count as f64,
            "mean" => self.mean,
            "p50" => self.p50,
            "median" => self.median,
            "p75" => self.p75,
            "p90" => self.p90,
            "p95" => self.p95,
            "p99" => self.p99,
            "p999" => self.p999,
            _ => return None,
        })
    }
}

/// Figures of one phase: what was recorded from its start to the start of the next one. The last phase also holds what
/// its users did after its end.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseFigures {
    /// Position in the script, from 0.
    pub index: usize,
    /// Name in the script; `unnamed` without one.
    pub name: String,
    /// The load in words, such as `5 to 50 arrivals/s` or `100 users`.
    pub load: String,
    /// Start, in milliseconds since 1970.
    pub started_at: u64,
    /// End, in milliseconds since 1970.
    pub ended_at: u64,
    /// What was recorded.
    #[serde(flatten)]
    pub figures: Period,
}

/// Outcome of one check.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CheckResult {
    /// The check as an expression, such as `http.response_time.p95 < 200`.
    pub expression: String,
    /// Whether it held.
    pub ok: bool,
    /// Whether its failure makes the run fail.
    pub strict: bool,
    /// What the value was, where the check has a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// Conditions of a run, so that it can be repeated and its figures judged.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RunInfo {
    /// Program and version that made the report.
    pub generator: String,
    /// Random id of the run; `$testId` in scripts.
    pub test_id: String,
    /// `--name` of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Path of the script as given.
    pub script: String,
    /// Base URL of the system under test.
    pub target: String,
    /// Name given with `-e`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Seed of every random choice: the same script with the same seed makes the same choices.
    pub seed: u64,
    /// Start, in milliseconds since 1970.
    pub started_at: u64,
    /// End, in milliseconds since 1970.
    pub ended_at: u64,
    /// Why the run ended before all users had finished, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<String>,
    /// What the figures suffer from: the generator was the limit, rows ran out, and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Processor cores of the machine of the generator.
    pub cores: usize,
}

/// Three decimals: microseconds of a value in milliseconds.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn short<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 1000.0).round() / 1000.0)
}

fn lenient_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(0.0))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts below 2^53, never negative")]
fn lenient_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, u64>, D::Error> {
    let numbers = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|(name, value)| (name, value.unwrap_or(0.0).max(0.0).round() as u64)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_artillery_is_read_and_written_with_its_keys() {
        let text = r#"{"aggregate":{"counters":{"http.requests":12,"http.downloaded_bytes":null},"rates":{"http.request_rate":4},
            "http.request_rate":null,"firstCounterAt":1,"firstHistogramAt":2,"lastCounterAt":3,"lastHistogramAt":4,
            "firstMetricAt":1,"lastMetricAt":4,"period":1795641320000,"summaries":{"http.response_time":{"min":0,"max":32,
            "count":18,"mean":10.9,"p50":1,"median":1,"p75":30.9,"p90":30.9,"p95":30.9,"p99":30.9,"p999":30.9}},
            "histograms":{}},"intermediate":[{"counters":{},"rates":{},"period":"1795641310000","summaries":{},"histograms":{}}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(report.aggregate.counters["http.downloaded_bytes"], 0);
        assert_eq!(report.aggregate.summaries["http.response_time"].statistic("p95"), Some(30.9));
        assert_eq!(report.intermediate[0].period.as_ref().map(PeriodStart::millis), Some(1_795_641_310_000));
        let written = serde_json::to_value(&report).unwrap();
        assert_eq!(written["aggregate"]["period"], 1_795_641_320_000_u64);
        assert_eq!(written["intermediate"][0]["period"], "1795641310000");
        assert_eq!(written["aggregate"]["firstHistogramAt"], 2);
        assert_eq!(serde_json::from_value::<Report>(written).unwrap(), report);
    }
}
