//! Due times of jobs. Pure functions.

use std::time::Duration;

use chrono::{NaiveTime, TimeZone};
use chrono_tz::Asia::Seoul;
use common::time::Timestamp;

/// How often a job runs. Times are Seoul's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At 00:00.
    Daily,
    /// At minute 0.
    Hourly,
    /// At second 0.
    EveryMinute,
}

impl Schedule {
    /// Cron expression: seconds, minutes, hours, days, months, days of the week.
    pub const fn cron(self) -> &'static str {
        match self {
            Self::Daily => "0 0 0 * * *",
            Self::Hourly => "0 0 * * * *",
            Self::EveryMinute => "0 * * * * *",
        }
    }

    /// The latest due time that is not after `now`.
    pub fn latest_due(self, now: Timestamp) -> Timestamp {
        let round_down = |unit: Duration| {
            let unit = i64::try_from(unit.as_millis()).unwrap_or(1);
            Timestamp(now.millis() - now.millis().rem_euclid(unit))
        };
        match self {
            Self::Daily => {
                let midnight = now.to_utc().with_timezone(&Seoul).date_naive().and_time(NaiveTime::MIN);
                Seoul.from_local_datetime(&midnight).earliest().map_or(now, |at| at.to_utc().into())
            }
            Self::Hourly => round_down(Duration::from_secs(3600)),
            Self::EveryMinute => round_down(Duration::from_secs(60)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_due_time_is_not_in_the_future() {
        for (schedule, now, due) in [
            (Schedule::Daily, "2026-03-01T00:00:00+09:00", "2026-03-01T00:00:00+09:00"),
            (Schedule::Daily, "2026-02-28T23:59:59.999+09:00", "2026-02-28T00:00:00+09:00"),
            (Schedule::Daily, "2026-02-28T15:00:00Z", "2026-03-01T00:00:00+09:00"),
            (Schedule::Hourly, "2026-03-01T12:34:56+09:00", "2026-03-01T12:00:00+09:00"),
            (Schedule::EveryMinute, "2026-03-01T12:34:56+09:00", "2026-03-01T12:34:00+09:00"),
        ] {
            let time = |text: &str| text.parse::<Timestamp>().expect("a time");
            assert_eq!(schedule.latest_due(time(now)), time(due), "{schedule:?} at {now}");
        }
    }
}
