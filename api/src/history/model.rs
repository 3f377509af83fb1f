//! History as clients see it.

use poem_openapi::{Enum, Object, types::Example};

use crate::day::Day;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum By {
    /// Completed actions.
    Actions,
    /// Finished workouts.
    Routines,
}

impl By {
    /// As in a query.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::Routines => "routines",
        }
    }
}

/// What a day is marked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum Mark {
    /// A routine was finished.
    Routine,
    /// No routine was finished, but an action completed.
    Action,
    /// Nothing was done.
    None,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl From<chrono::Weekday> for Weekday {
    fn from(weekday: chrono::Weekday) -> Self {
        match weekday {
            chrono::Weekday::Mon => Self::Monday,
            chrono::Weekday::Tue => Self::Tuesday,
            chrono::Weekday::Wed => Self::Wednesday,
            chrono::Weekday::Thu => Self::Thursday,
            chrono::Weekday::Fri => Self::Friday,
            chrono::Weekday::Sat => Self::Saturday,
            chrono::Weekday::Sun => Self::Sunday,
        }
    }
}

/// A day of the habit tracker.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct DayOfHabits {
    /// The day, as it was for the user.
    pub day: Day,
    /// Actions completed.
    pub actions: i64,
    /// Workouts finished.
    pub routines: i64,
    /// What it is marked with.
    pub mark: Mark,
}

impl Example for DayOfHabits {
    fn example() -> Self {
        Self { day: Day::EXAMPLE, actions: 5, routines: 1, mark: Mark::Routine }
    }
}

/// A month of the habit tracker.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Habits {
    /// The month, `YYYY-MM`.
    pub month: String,
    /// The day of the week of the 1st.
    pub first_weekday: Weekday,
    /// Every day of the month.
    pub days: Vec<DayOfHabits>,
    /// Which day it is for the user.
    pub today: Day,
    /// Days in a row with something done, up to today or yesterday.
    pub current_streak: i64,
    /// The most days in a row ever.
    pub longest_streak: i64,
}

impl Example for Habits {
    fn example() -> Self {
        Self {
            month: "2026-03".to_owned(),
            first_weekday: Weekday::Sunday,
            days: vec![DayOfHabits::example()],
            today: Day::EXAMPLE,
            current_streak: 3,
            longest_streak: 21,
        }
    }
}

/// A bar of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Bar {
    /// The day.
    pub day: Day,
    /// What was done on it.
    pub count: i64,
    /// Whether it is today.
    pub today: bool,
}

impl Example for Bar {
    fn example() -> Self {
        Self { day: Day::EXAMPLE, count: 5, today: true }
    }
}

/// Seven days.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Graph {
    /// What is counted.
    pub by: By,
    /// The first day.
    pub from: Day,
    /// The seven days.
    pub bars: Vec<Bar>,
    /// All of them together.
    pub total: i64,
    /// The day with the most, the first of several; absent if nothing was done.
    #[oai(skip_serializing_if_is_none)]
    pub best_day: Option<Day>,
    /// The seven days before; absent where days begin, in 1970.
    #[oai(skip_serializing_if_is_none)]
    pub previous: Option<String>,
    /// The seven days after; absent where days end, in 9998.
    #[oai(skip_serializing_if_is_none)]
    pub next: Option<String>,
}

impl Example for Graph {
    fn example() -> Self {
        Self {
            by: By::Actions,
            from: Day::EXAMPLE,
            bars: vec![Bar::example()],
            total: 5,
            best_day: Some(Day::EXAMPLE),
            previous: Some("/api/v1/history/graph?from=2026-02-22&by=actions".to_owned()),
            next: Some("/api/v1/history/graph?from=2026-03-08&by=actions".to_owned()),
        }
    }
}

/// A week of the series.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct WeekTotal {
    /// Its first day, as the user's weeks begin.
    pub from: Day,
    /// What was done in it.
    pub count: i64,
}

impl Example for WeekTotal {
    fn example() -> Self {
        Self { from: Day::EXAMPLE, count: 23 }
    }
}

/// Weeks up to the present one.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Series {
    /// What is counted.
    pub by: By,
    /// The weeks, the oldest first; the last is the present one.
    pub weeks: Vec<WeekTotal>,
    /// All of them together.
    pub total: i64,
}

impl Example for Series {
    fn example() -> Self {
        Self { by: By::Actions, weeks: vec![WeekTotal::example()], total: 23 }
    }
}
