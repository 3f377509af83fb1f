//! Arrival processes: when the messages of a room are due, and when people come. Seeded, so that two programs draw the
//! same times.

use std::time::Duration;

use clap::ValueEnum;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Deserialize;

/// Shape of the times at which messages of a room are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Independent for each room: exponential gaps.
    Poisson,
    /// Equal gaps, each room shifted at random.
    Uniform,
    /// Equal gaps, all rooms at the same instants.
    Together,
}

/// The times of one room, ascending, without end.
#[derive(Clone, Debug)]
pub struct Times {
    arrivals: Arrivals,
    gap: f64,
    at: f64,
    rng: StdRng,
}

impl Times {
    /// Times of room number `room` at `rate` a second. The same seed gives the same times.
    pub fn new(arrivals: Arrivals, rate: f64, room: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ (room as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let gap = 1.0 / rate.max(1e-9);
        let at = if arrivals == Arrivals::Uniform { gap * rng.random_range(0.0..1.0) } else { 0.0 };
        Self { arrivals, gap, at, rng }
    }
}

impl Iterator for Times {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.at += match self.arrivals {
            Arrivals::Poisson => -self.gap * (1.0 - self.rng.random_range(0.0..1.0_f64)).ln(),
            Arrivals::Uniform | Arrivals::Together => self.gap,
        };
        Some(Duration::from_secs_f64(self.at.min(1e9)))
    }
}

/// When people open the app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Coming {
    /// All at once.
    AtOnce,
    /// Evenly over the time.
    #[default]
    Even,
    /// A morning: few at first, most around the middle, few at the end (a raised cosine).
    Morning,
    /// A push notification: everyone within ten seconds, half of them within the first two.
    Push,
}

impl Coming {
    /// When person `number` of `people` comes, if coming takes `over` in all.
    pub fn at(self, number: usize, people: usize, over: Duration) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "fewer people than 2^53")]
        let share = (number as f64 + 0.5) / people.max(1) as f64;
        match self {
            Self::AtOnce => Duration::ZERO,
            Self::Even => over.mul_f64(share),
            Self::Morning => over.mul_f64(morning(share)),
            // The share that has come after t of 10 s is 1 − (1 − t/10)³: 49 % after 2 s.
            Self::Push => Duration::from_secs(10).mul_f64(1.0 - (1.0 - share).cbrt()),
        }
    }
}

/// When the given share has come, as a part of the morning: the inverse of t − sin(2πt)/2π, by bisection.
fn morning(share: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        let turn = std::f64::consts::TAU;
        if middle - (turn * middle).sin() / turn < share { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrivals: Arrivals, room: usize, count: usize) -> Vec<Duration> {
        Times::new(arrivals, 10.0, room, 7).take(count).collect()
    }

    #[test]
    fn every_process_has_its_rate_and_ascends() {
        for arrivals in [Arrivals::Poisson, Arrivals::Uniform, Arrivals::Together] {
            let times = times(arrivals, 3, 5000);
            assert!(times.is_sorted());
            let seconds = times[4999].as_secs_f64();
            assert!((475.0..525.0).contains(&seconds), "{arrivals:?}: 5000 at 10 a second took {seconds} s");
        }
    }

    #[test]
    fn rooms_are_independent_but_for_together_and_a_seed_repeats() {
        assert_ne!(times(Arrivals::Poisson, 0, 3), times(Arrivals::Poisson, 1, 3));
        assert_eq!(times(Arrivals::Poisson, 1, 3), times(Arrivals::Poisson, 1, 3));
        assert_eq!(times(Arrivals::Together, 0, 3), times(Arrivals::Together, 1, 3));
        assert_ne!(times(Arrivals::Uniform, 0, 3), times(Arrivals::Uniform, 1, 3));
    }

    #[test]
    fn people_come_as_their_pattern_says() {
        let over = Duration::from_secs(100);
        let by = |coming: Coming, seconds: u64| {
            (0..1000).filter(|n| coming.at(*n, 1000, over) <= Duration::from_secs(seconds)).count()
        };
        assert_eq!(by(Coming::AtOnce, 0), 1000);
        assert_eq!(by(Coming::Even, 50), 500);
        assert_eq!((by(Coming::Push, 2), by(Coming::Push, 10)), (488, 1000));
        assert!(by(Coming::Morning, 10) < 10 && by(Coming::Morning, 50) == 500 && by(Coming::Morning, 75) > 900);
    }
}
