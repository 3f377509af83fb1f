//! Validation of profile changes, and the date on which a withdrawal becomes final. Pure functions.

use chrono::{Months, TimeZone};
use chrono_tz::Asia::Seoul;
use common::time::Timestamp;

use super::model::ProfileChanges;
use crate::{
    auth::rules::{self, ProfileChange},
    input::Fields,
};

/// The validated changes; errors are added to `fields`.
pub fn change(fields: &mut Fields, changes: ProfileChanges) -> ProfileChange {
    let nickname = fields.given("nickname", changes.nickname);
    let time_zone = fields.given("timezone", changes.timezone);
    let week_start = fields.given("week_start", changes.week_start);
    ProfileChange {
        nickname: nickname.map(|value| rules::nickname(fields, &value)),
        time_zone: time_zone.map(|value| rules::time_zone(fields, Some(&value))),
        week_start: week_start.map(|value| rules::week_start(fields, Some(&value))),
    }
}

/// The moment one calendar month (Asia/Seoul) after a withdrawal; in a shorter month, its last day.
pub fn final_from(withdrawn_at: Timestamp) -> Timestamp {
    let local = withdrawn_at.to_utc().with_timezone(&Seoul).naive_local();
    let later = local.checked_add_months(Months::new(1)).unwrap_or(local);
    Seoul.from_local_datetime(&later).earliest().map_or(withdrawn_at, |at| at.to_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_is_final_a_calendar_month_later_in_seoul() {
        for (withdrawn, after) in [
            ("2026-01-31T12:00:00+09:00", "2026-02-28T12:00:00+09:00"),
            ("2028-01-31T12:00:00+09:00", "2028-02-29T12:00:00+09:00"),
            ("2026-01-28T23:00:00+09:00", "2026-02-28T23:00:00+09:00"),
            ("2026-02-28T00:00:00+09:00", "2026-03-28T00:00:00+09:00"),
            ("2026-12-31T23:59:59+09:00", "2027-01-31T23:59:59+09:00"),
            // 31 March in UTC, 1 April in Seoul.
            ("2026-03-31T20:00:00Z", "2026-04-30T20:00:00Z"),
        ] {
            let time = |text: &str| text.parse::<Timestamp>().expect("a time");
            assert_eq!(final_from(time(withdrawn)), time(after), "{withdrawn}");
        }
    }
}
