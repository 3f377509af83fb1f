//! Calendar days and months, independent of a time zone.

use std::{borrow::Cow, fmt, ops::RangeInclusive, str::FromStr};

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use chrono_tz::Tz;
use common::{db::Value, time::Timestamp};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};

/// A day of the calendar, of no time zone: days since 1970-01-01. In JSON it is `2026-03-01` (ISO 8601).
///
/// Activity is stored with the user's day at that moment, so that past days stay as they are when the user moves to
/// another time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct Day(pub i64);

impl Day {
    /// The day at `now` in a time zone.
    pub fn at(now: Timestamp, zone: Tz) -> Self {
        now.to_utc().with_timezone(&zone).date_naive().into()
    }

    /// 2026-03-01, for the examples of the OpenAPI document.
    pub const EXAMPLE: Self = Self(20_513);

    /// The day as a calendar date.
    pub fn date(self) -> NaiveDate {
        let epoch = NaiveDate::default();
        let days = Days::new(self.0.unsigned_abs());
        let date = if self.0 < 0 { epoch.checked_sub_days(days) } else { epoch.checked_add_days(days) };
        date.unwrap_or(epoch)
    }

    /// Whether it is in the years 1970 to 9998, so that the weeks around it can be represented. Other days are not
    /// accepted as input.
    pub fn is_valid_input(self) -> bool {
        YEARS.contains(&self.date().year())
    }

    /// The day `days` later, or earlier if negative.
    pub const fn plus(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// The day of the week.
    pub fn weekday(self) -> Weekday {
        self.date().weekday()
    }

    /// The first day of its week.
    pub fn week(self, week_start: Weekday) -> Self {
        self.plus(-i64::from(self.weekday().days_since(week_start)))
    }
}

impl From<NaiveDate> for Day {
    fn from(date: NaiveDate) -> Self {
        Self(date.signed_duration_since(NaiveDate::default()).num_days())
    }
}

impl From<Day> for Value {
    fn from(day: Day) -> Self {
        Self::Int(day.0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl FromStr for Day {
    type Err = NotADay;

    /// Parses a day that is [valid input](Day::is_valid_input).
    fn from_str(text: &str) -> Result<Self, NotADay> {
        // chrono also accepts signs and numbers with too few digits.
        let shaped = text.len() == "2026-03-01".len() && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| shaped);
        date.map(Self::from).filter(|day| day.is_valid_input()).ok_or(NotADay)
    }
}

const YEARS: RangeInclusive<i32> = 1970..=9998;

/// The text is not a calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a day such as 2026-03-01")]
pub struct NotADay;

/// A month of the calendar, `2026-03` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(NaiveDate);

impl Month {
    /// The month of a day.
    pub fn of(day: Day) -> Self {
        Self(day.date().with_day(1).unwrap_or_default())
    }

    /// Its first day.
    pub fn first(self) -> Day {
        self.0.into()
    }

    /// Its last day.
    pub fn last(self) -> Day {
        let next: Day = self.0.checked_add_months(Months::new(1)).unwrap_or(self.0).into();
        next.plus(-1)
    }
}

impl FromStr for Month {
    type Err = NotADay;
    fn from_str(text: &str) -> Result<Self, NotADay> {
        format!("{text}-01").parse().map(Self::of)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

impl Type for Day {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        let mut schema = MetaSchema::new_with_format("string", "date");
        schema.example = Some("2026-03-01".into());
        MetaSchemaRef::Inline(Box::new(schema))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Day {
    fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
        match value {
            Some(serde_json::Value::String(text)) => Self::parse_from_parameter(&text),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

impl ParseFromParameter for Day {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        text.parse().map_err(ParseError::custom)
    }
}

impl ToJSON for Day {
    fn to_json(&self) -> Option<serde_json::Value> {
        Some(self.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::New_York, Asia::Seoul, Pacific::Kiritimati};

    use super::*;

    #[test]
    fn days_begin_at_midnight_of_the_zone() {
        for (time, zone, day) in [
            ("2026-03-01T14:59:59.999Z", Seoul, "2026-03-01"),
            ("2026-03-01T15:00:00.000Z", Seoul, "2026-03-02"),
            ("2024-02-28T15:00:00.000Z", Seoul, "2024-02-29"),
            ("2024-02-29T15:00:00.000Z", Seoul, "2024-03-01"),
            ("2025-12-31T15:00:00.000Z", Seoul, "2026-01-01"),
            // On 8 March 2026 New York moves from UTC-5 to UTC-4: that day has 23 hours.
            ("2026-03-08T04:59:59.999Z", New_York, "2026-03-07"),
            ("2026-03-08T05:00:00.000Z", New_York, "2026-03-08"),
            ("2026-03-09T03:59:59.999Z", New_York, "2026-03-08"),
            ("2026-03-09T04:00:00.000Z", New_York, "2026-03-09"),
            // On 1 November 2026 it moves back: that day has 25 hours.
            ("2026-11-01T04:00:00.000Z", New_York, "2026-11-01"),
            ("2026-11-02T04:59:59.999Z", New_York, "2026-11-01"),
            ("2026-11-02T05:00:00.000Z", New_York, "2026-11-02"),
            ("2026-03-01T10:00:00.000Z", Kiritimati, "2026-03-02"),
        ] {
            let at = Day::at(time.parse().expect("a time"), zone);
            assert_eq!(at.to_string(), day, "{time} {zone}");
            assert_eq!(day.parse(), Ok(at));
        }
    }

    #[test]
    fn months_have_the_right_length() {
        for (month, first, last, weekday) in [
            ("2026-03", "2026-03-01", "2026-03-31", Weekday::Sun),
            ("2026-04", "2026-04-01", "2026-04-30", Weekday::Wed),
            ("2024-02", "2024-02-01", "2024-02-29", Weekday::Thu),
            ("2100-02", "2100-02-01", "2100-02-28", Weekday::Mon),
            ("2025-12", "2025-12-01", "2025-12-31", Weekday::Mon),
        ] {
            let parsed: Month = month.parse().expect(month);
            assert_eq!((parsed.first().to_string(), parsed.last().to_string()), (first.into(), last.into()));
            assert_eq!(parsed.first().weekday(), weekday, "{month}");
            assert_eq!(parsed.to_string(), month);
        }
    }

    #[test]
    fn weeks_begin_on_the_users_first_day() {
        for (day, start, first) in [
            ("2026-03-01", Weekday::Mon, "2026-02-23"),
            ("2026-03-01", Weekday::Sun, "2026-03-01"),
            ("2026-03-07", Weekday::Sun, "2026-03-01"),
            ("2026-03-02", Weekday::Mon, "2026-03-02"),
            ("1970-01-01", Weekday::Mon, "1969-12-29"),
        ] {
            let day: Day = day.parse().expect(day);
            assert_eq!(day.week(start).to_string(), first);
        }
    }

    #[test]
    fn invalid_days_are_refused() {
        for text in ["2026-02-29", "2026-3-1", "2026-13-01", "1969-12-31", "9999-01-01", "+2026-3-01", "today", ""] {
            assert_eq!(text.parse::<Day>(), Err(NotADay), "{text}");
        }
        for text in ["2026-3", "2026-00", "2026-03-01", "202603", ""] {
            assert_eq!(text.parse::<Month>(), Err(NotADay), "{text}");
        }
    }
}
