//! Statistics of few samples: median, spread, and whether two means differ by more than the noise (Welch's t-test).

/// Mean, and the standard error of it.
fn mean_and_error(samples: &[f64]) -> (f64, f64) {
    let count = count(samples);
    let mean = samples.iter().sum::<f64>() / count;
    let variance = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, (variance / count).sqrt())
}

#[expect(clippy::cast_precision_loss, reason = "fewer samples than 2^53")]
const fn count(samples: &[f64]) -> f64 {
    samples.len() as f64
}

/// The middle of the samples; NaN without samples.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Smallest and largest sample.
pub fn spread(samples: &[f64]) -> (f64, f64) {
    samples.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), sample| (low.min(*sample), high.max(*sample)))
}

/// Whether the means of two sets of samples differ by more than their noise, at 95 % (Welch's t-test, two-sided).
/// `None` with fewer than three samples on a side.
pub fn differ(a: &[f64], b: &[f64]) -> Option<bool> {
    if a.len() < 3 || b.len() < 3 {
        return None;
    }
    let ((mean_a, error_a), (mean_b, error_b)) = (mean_and_error(a), mean_and_error(b));
    let error = error_a.hypot(error_b);
    if error == 0.0 {
        return Some((mean_a - mean_b).abs() > f64::EPSILON * mean_a.abs().max(mean_b.abs()));
    }
    let part = |error: f64, samples: &[f64]| error.powi(4) / (count(samples) - 1.0);
    let freedom = error.powi(4) / (part(error_a, a) + part(error_b, b));
    Some(((mean_a - mean_b) / error).abs() > critical(freedom))
}

/// Two-sided 95 % point of Student's t: exact at the table's degrees of freedom, the next lower one's between them.
fn critical(freedom: f64) -> f64 {
    const TABLE: [(f64, f64); 12] = [
        (1.0, 12.706),
        (2.0, 4.303),
        (3.0, 3.182),
        (4.0, 2.776),
        (5.0, 2.571),
        (6.0, 2.447),
        (8.0, 2.306),
        (10.0, 2.228),
        (15.0, 2.131),
        (30.0, 2.042),
        (60.0, 2.000),
        (120.0, 1.980),
    ];
    TABLE.iter().rev().find(|(from, _)| *from <= freedom).map_or(12.706, |(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_judged_against_the_noise() {
        for (a, b, expected) in [
            (&[10.0, 11.0, 9.0, 10.0][..], &[10.2, 11.1, 9.3, 10.1][..], Some(false)),
            (&[10.0, 11.0, 9.0, 10.0], &[20.0, 21.0, 19.0, 20.0], Some(true)),
            (&[10.0, 30.0, 2.0], &[20.0, 40.0, 12.0], Some(false)),
            (&[5.0, 5.0, 5.0], &[5.0, 5.0, 5.0], Some(false)),
            (&[5.0, 5.0, 5.0], &[6.0, 6.0, 6.0], Some(true)),
            (&[5.0, 5.0], &[6.0, 6.0, 6.0], None),
        ] {
            assert_eq!(differ(a, b), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn medians_and_spreads() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9 && (median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 3.0));
    }
}
