//! Arrivals: when in a phase each user starts. Pure functions of the phase and of a random number generator.

use std::time::Duration;

use rand::{Rng, RngCore};

use crate::script::plan::Load;

/// Times of the arrivals of a phase, from its start, ascending. Empty for pauses and for phases of constant users.
pub fn arrivals<'a>(
    load: &Load,
    random: &'a mut (impl RngCore + Send),
) -> Box<dyn Iterator<Item = Duration> + Send + 'a> {
    match load {
        Load::Pause(_) | Load::Users { .. } => Box::new(std::iter::empty()),
        Load::Rate { rate, duration, poisson: true } => {
            Box::new(Poisson { rate: *rate, at: 0.0, duration: *duration, random })
        }
        Load::Rate { rate, duration, .. } => Box::new(uniform(*rate, *duration)),
        Load::Count { count, duration } => Box::new(spread(*count, *duration)),
        Load::Ramp { from, to, duration } => Box::new(ramp(*from, *to, *duration)),
    }
}

/// ⌊10⁶/rate⌋ µs apart, the first after one gap, as many as fit.
fn uniform(rate: f64, duration: Duration) -> impl Iterator<Item = Duration> {
    let tick = whole(1e6 / rate).max(1);
    let count = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX) / tick;
    (1..=count).map(move |index| Duration::from_micros(index * tick))
}

/// `count` arrivals at the rate that fits them into the duration.
fn spread(count: u64, duration: Duration) -> impl Iterator<Item = Duration> {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let tick = micros / count.max(1);
    (1..=count).map(move |index| Duration::from_micros(index * tick))
}

/// For each second a whole number of arrivals on the line between both rates, evenly spread in that second.
fn ramp(from: f64, to: f64, duration: Duration) -> impl Iterator<Item = Duration> {
    let seconds = whole(duration.as_secs_f64().ceil()).max(1);
    (0..seconds).flat_map(move |second| {
        let count = if seconds == 1 {
            whole(((from + to) / 2.0).round())
        } else {
            whole((from + (to - from) * as_float(second) / as_float(seconds - 1) + 0.5).floor())
        };
        // All at once in a ramp of one second.
        let step = if seconds == 1 { 0 } else { 1000 / count.max(1) };
        (1..=count).map(move |index| Duration::from_millis(second * 1000 + index * step))
    })
}

/// Gaps from an exponential distribution.
struct Poisson<'a, R> {
    rate: f64,
    at: f64,
    duration: Duration,
    random: &'a mut R,
}

impl<R: RngCore> Iterator for Poisson<'_, R> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // A draw of 0 has no logarithm.
        let drawn: f64 = 1.0 - self.random.random::<f64>();
        self.at += -drawn.ln() / self.rate;
        Duration::try_from_secs_f64(self.at).ok().filter(|at| *at <= self.duration)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and durations are bounded, never negative"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a phase")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn times(load: &Load) -> Vec<u64> {
        let mut random = StdRng::seed_from_u64(1);
        arrivals(load, &mut random).map(|at| u64::try_from(at.as_millis()).unwrap()).collect::<Vec<u64>>()
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn arrivals_come_when_artillery_s_do() {
        let rate = |rate, length| Load::Rate { rate, duration: seconds(length), poisson: false };
        assert_eq!(times(&rate(2.0, 3.0)), [500, 1000, 1500, 2000, 2500, 3000]);
        assert_eq!(times(&rate(3.0, 2.0)), [333, 666, 999, 1333, 1666, 1999]);
        assert_eq!(times(&rate(0.5, 3.0)), [2000]);
        assert_eq!(times(&rate(2.0, 2.5)), [500, 1000, 1500, 2000, 2500]);
        assert_eq!(times(&Load::Count { count: 5, duration: seconds(2.0) }), [400, 800, 1200, 1600, 2000]);
        assert_eq!(times(&Load::Count { count: 0, duration: seconds(2.0) }), [0_u64; 0]);
        assert_eq!(times(&Load::Pause(seconds(3.0))), [0_u64; 0]);
        assert_eq!(times(&Load::Users { users: 3, duration: seconds(3.0) }), [0_u64; 0]);
    }

    #[test]
    fn ramps_have_artillery_s_counts_for_each_second() {
        for (from, to, length, counts) in [
            (1.0, 6.0, 4.0, vec![1, 3, 4, 6]),
            (0.0, 4.0, 3.0, vec![0, 2, 4]),
            (4.0, 0.0, 3.0, vec![4, 2, 0]),
            (1.0, 3.0, 1.0, vec![2]),
        ] {
            let all = times(&Load::Ramp { from, to, duration: seconds(length) });
            let of = |second: u64| all.iter().filter(|at| (at.saturating_sub(1)) / 1000 == second).count();
            let found: Vec<usize> = (0..counts.len() as u64).map(of).collect();
            assert_eq!(found, counts, "{from} to {to}: {all:?}");
            assert!(all.is_sorted());
        }
    }

    #[test]
    fn poisson_arrivals_are_as_many_on_the_average_and_repeat_with_their_seed() {
        let load = Load::Rate { rate: 100.0, duration: seconds(100.0), poisson: true };
        let all = times(&load);
        assert!((9_700..10_300).contains(&all.len()), "{}", all.len());
        assert_eq!(all, times(&load));
        let gaps: Vec<u64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.contains(&0) && gaps.iter().any(|gap| *gap > 40), "gaps are not equal");
    }
}
