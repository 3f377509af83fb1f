//! Streaks as intervals: merging and splitting when a day becomes active or inactive. Pure functions.

use crate::day::Day;

/// Interval of consecutive active days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// Its first day.
    pub first_day: Day,
    /// Its last day.
    pub last_day: Day,
}

impl Run {
    /// Number of days.
    pub const fn length(&self) -> i64 {
        self.last_day.0 - self.first_day.0 + 1
    }
}

/// The intervals after a day became active.
pub fn with(runs: &[Run], day: Day) -> Vec<Run> {
    let mut all = Run { first_day: day, last_day: day };
    let mut kept = Vec::new();
    for run in runs {
        if run.last_day.plus(1) >= day && run.first_day.plus(-1) <= day {
            all.first_day = all.first_day.min(run.first_day);
            all.last_day = all.last_day.max(run.last_day);
        } else {
            kept.push(*run);
        }
    }
    kept.push(all);
    kept
}

/// The intervals after a day became inactive.
pub fn without(runs: &[Run], day: Day) -> Vec<Run> {
    let parts = |run: &Run| {
        let before = Run { last_day: run.last_day.min(day.plus(-1)), ..*run };
        let after = Run { first_day: run.first_day.max(day.plus(1)), ..*run };
        [before, after].into_iter().filter(|run| run.first_day <= run.last_day).collect::<Vec<_>>()
    };
    let touched = |run: &&Run| run.first_day <= day && day <= run.last_day;
    let untouched = runs.iter().filter(|run| !touched(run)).copied();
    untouched.chain(runs.iter().filter(touched).flat_map(parts)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(pairs: &[(i64, i64)]) -> Vec<Run> {
        pairs.iter().map(|(first, last)| Run { first_day: Day(*first), last_day: Day(*last) }).collect()
    }

    #[test]
    fn days_join_runs_and_split_them() {
        for (before, day, after) in [
            (&[][..], 5, &[(5, 5)][..]),
            (&[(3, 4)], 5, &[(3, 5)]),
            (&[(6, 9)], 5, &[(5, 9)]),
            (&[(3, 4), (6, 9)], 5, &[(3, 9)]),
            (&[(3, 3), (8, 9)], 5, &[(3, 3), (8, 9), (5, 5)]),
            (&[(3, 7)], 5, &[(3, 7)]),
        ] {
            assert_eq!(with(&runs(before), Day(day)), runs(after), "{before:?} with {day}");
        }
        for (before, day, after) in [
            (&[(5, 5)][..], 5, &[][..]),
            (&[(3, 5)], 5, &[(3, 4)]),
            (&[(5, 9)], 5, &[(6, 9)]),
            (&[(3, 9)], 5, &[(3, 4), (6, 9)]),
            (&[(3, 3), (8, 9)], 5, &[(3, 3), (8, 9)]),
        ] {
            assert_eq!(without(&runs(before), Day(day)), runs(after), "{before:?} without {day}");
        }
    }
}
