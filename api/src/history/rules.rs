//! Arrangement of days into months, weeks and series. Pure functions.

use std::collections::BTreeMap;

use super::model::{Bar, By, DayOfHabits, Graph, Mark, Series, WeekTotal};
use crate::{awards::ledger::Sum, day::Day, tags::BASE};

/// Days of a week.
pub const WEEK: i64 = 7;
/// Weeks of a series, at most.
pub const MAX_WEEKS: u32 = 53;

/// What a day is marked with.
pub const fn mark(sum: Sum) -> Mark {
    match sum {
        Sum { routines: 1.., .. } => Mark::Routine,
        Sum { actions: 1.., .. } => Mark::Action,
        _ => Mark::None,
    }
}

const fn count(sum: Sum, by: By) -> i64 {
    match by {
        By::Actions => sum.actions,
        By::Routines => sum.routines,
    }
}

fn of(sums: &BTreeMap<Day, Sum>, day: Day) -> Sum {
    sums.get(&day).copied().unwrap_or_default()
}

fn days(first: Day, last: Day) -> impl Iterator<Item = Day> {
    (first.0..=last.0).map(Day)
}

/// Every day from `first` to `last`.
pub fn habits(sums: &BTreeMap<Day, Sum>, first: Day, last: Day) -> Vec<DayOfHabits> {
    let habit = |day| {
        let sum = of(sums, day);
        DayOfHabits { day, actions: sum.actions, routines: sum.routines, mark: mark(sum) }
    };
    days(first, last).map(habit).collect()
}

/// Seven days from `from`. The best day is the first with the highest count; there is none if all are empty.
pub fn graph(sums: &BTreeMap<Day, Sum>, from: Day, today: Day, by: By) -> Graph {
    let bars: Vec<Bar> = days(from, from.plus(WEEK - 1))
        .map(|day| Bar { day, count: count(of(sums, day), by), today: day == today })
        .collect();
    let most = bars.iter().map(|bar| bar.count).max().filter(|most| *most > 0);
    Graph {
        by,
        from,
        total: bars.iter().map(|bar| bar.count).sum(),
        best_day: most.and_then(|most| bars.iter().find(|bar| bar.count == most)).map(|bar| bar.day),
        previous: link(from.plus(-WEEK), by),
        next: link(from.plus(WEEK), by),
        bars,
    }
}

/// The link to the week from `from`; `None` if that day is not valid input.
fn link(from: Day, by: By) -> Option<String> {
    from.is_valid_input().then(|| format!("{BASE}/history/graph?from={from}&by={}", by.text()))
}

/// `weeks` weeks, of which the last begins at `last_week`. The sums are those of weeks, by their first days.
pub fn series(sums: &BTreeMap<Day, Sum>, last_week: Day, weeks: u32, by: By) -> Series {
    let first_week = last_week.plus(-WEEK * (i64::from(weeks) - 1));
    let total = |from: Day| WeekTotal { from, count: count(of(sums, from), by) };
    let weeks: Vec<WeekTotal> = (0..i64::from(weeks)).map(|week| total(first_week.plus(week * WEEK))).collect();
    Series { by, total: weeks.iter().map(|week| week.count).sum(), weeks }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(days: &[(&str, i64, i64)]) -> BTreeMap<Day, Sum> {
        let sum = |(day, actions, routines): &(&str, i64, i64)| {
            (day.parse().expect("a day"), Sum { actions: *actions, routines: *routines, experience: 0 })
        };
        days.iter().map(sum).collect()
    }

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn a_month_has_every_day_with_its_mark() {
        let sums = sums(&[("2024-01-31", 9, 9), ("2024-02-01", 2, 0), ("2024-02-29", 5, 1), ("2024-03-01", 9, 9)]);
        let habits = habits(&sums, day("2024-02-01"), day("2024-02-29"));
        assert_eq!(habits.len(), 29);
        let marked: Vec<_> =
            habits.iter().filter(|h| h.mark != Mark::None).map(|h| (h.day.to_string(), h.actions, h.mark)).collect();
        assert_eq!(marked, [("2024-02-01".into(), 2, Mark::Action), ("2024-02-29".into(), 5, Mark::Routine)]);
    }

    #[test]
    fn a_week_has_seven_bars_a_total_and_a_best_day() {
        let sums = sums(&[("2026-02-28", 3, 1), ("2026-03-01", 5, 0), ("2026-03-04", 5, 2), ("2026-03-05", 9, 9)]);
        let graph = graph(&sums, day("2026-02-26"), day("2026-03-01"), By::Actions);
        assert_eq!(graph.bars.iter().map(|bar| bar.count).collect::<Vec<_>>(), [0, 0, 3, 5, 0, 0, 5]);
        assert_eq!((graph.total, graph.best_day), (13, Some(day("2026-03-01"))));
        assert_eq!(
            graph.bars.iter().filter(|bar| bar.today).map(|bar| bar.day).collect::<Vec<_>>(),
            [day("2026-03-01")]
        );
        assert_eq!(graph.previous.as_deref(), Some("/api/v1/history/graph?from=2026-02-19&by=actions"));
        assert_eq!(graph.next.as_deref(), Some("/api/v1/history/graph?from=2026-03-05&by=actions"));
        let routines = super::graph(&sums, day("2026-02-26"), day("2026-04-01"), By::Routines);
        assert_eq!((routines.total, routines.best_day), (3, Some(day("2026-03-04"))));
        assert_eq!(super::graph(&sums, day("2025-01-01"), day("2026-03-01"), By::Actions).best_day, None);
    }

    #[test]
    fn a_series_has_every_week() {
        let sums = sums(&[("2026-02-16", 3, 1), ("2026-03-02", 4, 1)]);
        let series = series(&sums, day("2026-03-02"), 3, By::Actions);
        let weeks: Vec<_> = series.weeks.iter().map(|week| (week.from.to_string(), week.count)).collect();
        assert_eq!(weeks, [("2026-02-16".into(), 3), ("2026-02-23".into(), 0), ("2026-03-02".into(), 4)]);
        assert_eq!(series.total, 7);
    }

    #[test]
    fn links_lead_to_valid_days_only() {
        for (from, previous, next) in [
            ("1970-01-07", false, true),
            ("1970-01-08", true, true),
            ("9998-12-24", true, true),
            ("9998-12-25", true, false),
        ] {
            let graph = graph(&BTreeMap::new(), day(from), day("2026-03-01"), By::Actions);
            assert_eq!((graph.previous.is_some(), graph.next.is_some()), (previous, next), "{from}");
        }
    }
}
