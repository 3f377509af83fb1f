//! HDR histogram of a non-negative value with three decimals: a time in milliseconds is kept to the microsecond.
//!
//! Quantiles follow Artillery's rule, the element at rank ⌊q·(n−1)⌋, so that both programs say the same of few values.

use hdrhistogram::Histogram as Hdr;

use super::report::Summary;

/// Steps in one unit of the value.
const SCALE: f64 = 1000.0;
/// One hour in steps of a microsecond; larger values are recorded as this.
const LARGEST: u64 = 3_600_000_000;
/// Digits of a value that are kept: a relative accuracy of 0.1 %.
const DIGITS: u8 = 3;

/// Distribution of a value.
#[derive(Clone, Debug)]
pub struct Histogram {
    hdr: Option<Hdr<u64>>,
}

impl Default for Histogram {
    fn default() -> Self {
        // Cannot fail with these digits; without buckets nothing is recorded, rather than the program ending.
        let hdr = Hdr::new(DIGITS).ok().map(|mut hdr| {
            hdr.auto(true);
            hdr
        });
        Self { hdr }
    }
}

impl Histogram {
    /// Adds `value`; not finite and negative values count as 0.
    pub fn record(&mut self, value: f64) {
        if let Some(hdr) = &mut self.hdr {
            // Auto-resizing is on, so a value up to the largest is always recorded.
            hdr.record(steps(value)).unwrap_or_default();
        }
    }

    /// Adds every value of `other`.
    pub fn merge(&mut self, other: &Self) {
        if let (Some(hdr), Some(other)) = (&mut self.hdr, &other.hdr) {
            hdr.add(other).unwrap_or_default();
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.hdr.as_ref().map_or(0, Hdr::len)
    }

    /// Element at rank ⌊q·(n−1)⌋ of the sorted values; 0 without values.
    #[must_use]
    pub fn quantile(&self, q: f64) -> f64 {
        self.quantiles(&[q])[0]
    }

    /// The same histogram as it would be if its source had gone on producing values at `interval` while it waited:
    /// for each value v longer than that, also v − interval, v − 2·interval, … (coordinated omission).
    #[must_use]
    pub fn corrected(&self, interval: f64) -> Self {
        let hdr = self.hdr.as_ref().map(|hdr| hdr.clone_correct(steps(interval).max(1)));
        Self { hdr }
    }

    /// All statistics.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let Some(hdr) = self.hdr.as_ref().filter(|hdr| !hdr.is_empty()) else { return Summary::default() };
        let values = self.quantiles(&[0.5, 0.75, 0.9, 0.95, 0.99, 0.999]);
        Summary {
            min: units(hdr.min()),
            max: units(hdr.max()),
            count: hdr.len(),
            mean: hdr.mean() / SCALE,
            p50: values[0],
            median: values[0],
            p75: values[1],
            p90: values[2],
            p95: values[3],
            p99: values[4],
            p999: values[5],
        }
    }

    /// Values with their counts, ascending.
    pub fn values(&self) -> impl Iterator<Item = (f64, u64)> {
        self.hdr
            .iter()
            .flat_map(Hdr::iter_recorded)
            .map(|step| (units(step.value_iterated_to()), step.count_at_value()))
    }

    /// Elements at the ranks of ascending `qs`, in one pass.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts below 2^53, quantiles between 0 and 1"
    )]
    fn quantiles(&self, qs: &[f64]) -> Vec<f64> {
        let last = self.count().saturating_sub(1) as f64;
        let mut ranks = qs.iter().map(|q| (q * last).floor() as u64).peekable();
        let mut found = Vec::with_capacity(qs.len());
        let mut seen = 0;
        for (value, count) in self.values() {
            seen += count;
            while ranks.next_if(|rank| *rank < seen).is_some() {
                found.push(value);
            }
        }
        found.resize(qs.len(), 0.0);
        found
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of a histogram")]
fn steps(value: f64) -> u64 {
    ((value * SCALE).round().max(0.0) as u64).min(LARGEST)
}

#[expect(clippy::cast_precision_loss, reason = "at most an hour in microseconds")]
fn units(steps: u64) -> f64 {
    steps as f64 / SCALE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn quantiles_are_elements_at_artillery_s_ranks() {
        let six = of(&[5.0, 1.0, 6.0, 2.0, 4.0, 3.0]);
        for (q, value) in [(0.0, 1.0), (0.5, 3.0), (0.75, 4.0), (0.9, 5.0), (0.99, 5.0), (1.0, 6.0)] {
            assert!((six.quantile(q) - value).abs() < 0.01, "{q}: {}", six.quantile(q));
        }
        assert_eq!(of(&[]).summary(), Summary::default());
    }

    #[test]
    fn microseconds_are_kept_and_nonsense_counts_as_zero() {
        let summary = of(&[0.123, f64::NAN, -4.0]).summary();
        assert!((summary.max - 0.123).abs() < 0.000_5 && summary.min == 0.0 && summary.count == 3, "{summary:?}");
        assert!((of(&[1e12]).summary().max - 3_600_000.0).abs() < 3_600.0);
    }

    #[test]
    fn a_stall_is_what_all_who_would_have_asked_had_waited() {
        let mut values = vec![1.0; 1000];
        values.push(2000.0);
        let corrected = of(&values).corrected(10.0);
        assert!((1195..=1205).contains(&corrected.count()), "{}", corrected.count());
        assert!(of(&values).quantile(0.99) < 2.0);
        assert!(corrected.quantile(0.99) > 1_800.0);
    }

    #[test]
    fn merged_histograms_hold_the_values_of_both() {
        let mut one = of(&[1.0, 2.0]);
        one.merge(&of(&[3000.0]));
        assert_eq!(one.count(), 3);
        assert!((one.summary().max - 3000.0).abs() < 3.0);
    }
}
