//! Output of a load test: the live view and the summary in the terminal, the comparison of two reports, the HTML report.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`console`] | what a run prints: a live view on a terminal, plain lines elsewhere, Artillery's summary |
//! | [`summary`] | the figures of a period in Artillery's lines |
//! | [`compare`] | two reports side by side, with ratios and what is larger than the noise |
//! | [`html`] | one self-contained HTML file from one or two reports |
//! | [`command`] | `loadtest report` and `loadtest compare` |

pub mod command;
pub mod compare;
pub mod console;
pub mod html;
pub mod statistics;
pub mod summary;

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::{
    failure::{Outcome, While},
    metrics::{Report, Window},
};

/// Values of a metric with their counts, ascending.
pub type Distribution = Vec<(f64, u64)>;

/// A report file that was read.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What it is called: the run's name, or the file's.
    pub label: String,
    /// The report.
    pub report: Report,
    /// Distributions of its histograms; empty in reports of other programs.
    pub distributions: BTreeMap<String, Distribution>,
}

#[derive(Default, Deserialize)]
struct Extra {
    #[serde(default)]
    distributions: BTreeMap<String, Distribution>,
}

impl Loaded {
    /// Reads a report file of Artillery's shape.
    ///
    /// # Errors
    /// When it cannot be read or is no report, with the place.
    pub fn read(path: &Path) -> Outcome<Self> {
        let text = fs::read_to_string(path).doing(path.display())?;
        let report: Report = serde_json::from_str(&text).doing(path.display())?;
        let Extra { distributions } = serde_json::from_str(&text).doing(path.display())?;
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let label = report.run.as_ref().and_then(|run| run.name.clone()).unwrap_or(file);
        Ok(Self { label, report, distributions })
    }
}

/// The report as its file has it: with the distributions of `total` beside Artillery's keys.
///
/// # Errors
/// Never: every report is JSON.
pub fn to_json(report: &Report, total: &BTreeMap<String, Distribution>) -> Outcome<String> {
    let mut value = serde_json::to_value(report)?;
    if !total.is_empty() {
        value["distributions"] = serde_json::to_value(total)?;
    }
    Ok(serde_json::to_string_pretty(&value)?)
}

/// The distributions of everything that a run recorded, in at most 200 steps each.
pub fn distributions(total: &Window) -> BTreeMap<String, Distribution> {
    total.histograms().map(|(name, histogram)| (name.to_owned(), coarse(histogram.values()))).collect()
}

/// Values within 5 % of each other become one.
fn coarse(values: impl Iterator<Item = (f64, u64)>) -> Distribution {
    let mut steps: Distribution = Vec::new();
    let mut from = 0.0;
    for (value, count) in values {
        match steps.last_mut() {
            Some(last) if value <= from * 1.05 || value - from <= 0.001 => last.1 += count,
            _ => {
                from = value;
                steps.push((value, count));
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_coarse_and_keep_every_count() {
        let steps = coarse((1..=10_000).map(|value| (f64::from(value), 1)));
        assert!(steps.len() < 200, "{}", steps.len());
        assert_eq!(steps.iter().map(|(_, count)| count).sum::<u64>(), 10_000);
    }

    #[test]
    fn a_file_has_the_report_and_its_distributions() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.json");
        let distributions = BTreeMap::from([("x".to_owned(), vec![(1.5, 2)])]);
        fs::write(&file, to_json(&Report::default(), &distributions).expect("JSON")).expect("written");
        let loaded = Loaded::read(&file).expect("a report");
        assert_eq!((loaded.label.as_str(), loaded.distributions), ("a", distributions));
        fs::write(&file, "{").expect("written");
        assert!(Loaded::read(&file).is_err_and(|failure| failure.to_string().contains("a.json")));
    }
}
