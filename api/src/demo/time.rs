//! Random moments, and the beginning of days in a time zone.

use std::time::Duration;

use chrono::NaiveTime;
use chrono_tz::Tz;
use common::time::Timestamp;
use rand::{Rng, rngs::StdRng};

use crate::day::Day;

pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// Beginning of a day in a time zone; `otherwise` outside the calendar's range.
pub(super) fn midnight(day: Day, zone: Tz, otherwise: Timestamp) -> Timestamp {
    let midnight = day.date().and_time(NaiveTime::MIN).and_local_timezone(zone);
    midnight.earliest().map_or(otherwise, |midnight| midnight.to_utc().into())
}

/// A random moment from `from` to `until`, or `from` if that is later.
pub(super) fn between(rng: &mut StdRng, from: Timestamp, until: Timestamp) -> Timestamp {
    Timestamp(rng.random_range(from.0..=until.0.max(from.0)))
}

/// `count` random moments in ascending order.
pub(super) fn moments(rng: &mut StdRng, from: Timestamp, until: Timestamp, count: usize) -> Vec<Timestamp> {
    let mut moments: Vec<Timestamp> = (0..count).map(|_| between(rng, from, until)).collect();
    moments.sort_unstable();
    moments
}
