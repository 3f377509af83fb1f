//! How long to wait before the next attempt.

use std::time::Duration;

use rand::Rng;

/// Waits that double up to a maximum, each drawn at random from the upper half of its span, so that clients which lost
/// the same gateway do not come back at the same instant.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempt: u32,
}

impl Backoff {
    /// Begins at `first` and never waits more than `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempt: 0 }
    }

    /// The next wait.
    pub fn next(&mut self, rng: &mut impl Rng) -> Duration {
        let span = self.first.saturating_mul(1 << self.attempt.min(16)).min(self.longest);
        self.attempt += 1;
        span.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// Begins again: an attempt succeeded.
    pub const fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_scatter() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(1000));
        for span in [100, 200, 400, 800, 1000, 1000] {
            let wait = backoff.next(&mut rng).as_millis();
            assert!((span / 2..=span).contains(&wait), "{wait} of {span}");
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= Duration::from_millis(100));
    }
}
