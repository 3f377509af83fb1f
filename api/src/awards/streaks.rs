//! Runs of active days, kept as they change: reading the longest never looks at all the days of a life.

use common::{
    db::{Db, DbError, Tx, sql},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{calendar::Calendar, day::Day};

/// An unbroken run of active days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// Its first day.
    pub first_day: Day,
    /// Its last day.
    pub last_day: Day,
}

impl Run {
    /// How many days it has.
    pub const fn length(&self) -> i64 {
        self.last_day.0 - self.first_day.0 + 1
    }
}

/// A user's runs that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streaks {
    /// Days of the run that today belongs to or can still go on.
    pub current: i64,
    /// Days of the longest run ever.
    pub longest: i64,
}

/// The runs after a day became active.
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

/// The runs after a day was emptied.
fn without(runs: &[Run], day: Day) -> Vec<Run> {
    let parts = |run: &Run| {
        let before = Run { last_day: run.last_day.min(day.plus(-1)), ..*run };
        let after = Run { first_day: run.first_day.max(day.plus(1)), ..*run };
        [before, after].into_iter().filter(|run| run.first_day <= run.last_day).collect::<Vec<_>>()
    };
    let touched = |run: &&Run| run.first_day <= day && day <= run.last_day;
    let untouched = runs.iter().filter(|run| !touched(run)).copied();
    untouched.chain(runs.iter().filter(touched).flat_map(parts)).collect()
}

/// A day became active.
pub(super) async fn add(tx: &mut Tx, user: Uuid, day: Day) -> Result<(), DbError> {
    change(tx, user, day, with).await
}

/// A day was emptied.
pub(super) async fn remove(tx: &mut Tx, user: Uuid, day: Day) -> Result<(), DbError> {
    change(tx, user, day, without).await
}

async fn change(tx: &mut Tx, user: Uuid, day: Day, rule: fn(&[Run], Day) -> Vec<Run>) -> Result<(), DbError> {
    // Runs never touch each other: the two that end next are all that the day can touch.
    let near =
        sql("SELECT first_day, last_day FROM streaks WHERE user_id = ? AND last_day >= ? ORDER BY last_day LIMIT 2");
    let near: Vec<Run> = near.bind(user).bind(day.plus(-1)).all(&mut *tx).await?;
    let after = rule(&near, day);
    for gone in near.iter().filter(|run| !after.contains(run)) {
        let delete = sql("DELETE FROM streaks WHERE user_id = ? AND last_day = ?");
        delete.bind(user).bind(gone.last_day).run(&mut *tx).await?;
    }
    for new in after.iter().filter(|run| !near.contains(run)) {
        sql("INSERT INTO streaks (user_id, last_day, first_day, length) VALUES (?, ?, ?, ?)")
            .bind(user)
            .bind(new.last_day)
            .bind(new.first_day)
            .bind(new.length())
            .run(&mut *tx)
            .await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    time_zone: String,
    week_start: String,
    last_day: Option<Day>,
    last_length: Option<i64>,
    longest: Option<i64>,
}

/// A user's calendar and streaks: one that ended yesterday is not broken yet. `None`: there is no such account any more.
///
/// # Errors
/// See [`DbError`].
pub async fn read(db: &Db, user: Uuid, now: Timestamp) -> Result<Option<(Calendar, Streaks)>, DbError> {
    // Each subquery reads one row of an index, where MAX() may read all streaks of a life.
    let select = sql("SELECT u.time_zone, u.week_start, s.last_day, s.length AS last_length, \
         (SELECT length FROM streaks WHERE user_id = ? ORDER BY length DESC LIMIT 1) AS longest \
         FROM users u LEFT JOIN streaks s ON s.user_id = u.id AND s.last_day = \
         (SELECT last_day FROM streaks WHERE user_id = ? ORDER BY last_day DESC LIMIT 1) \
         WHERE u.id = ? AND u.withdrawn_at IS NULL");
    let row: Option<Row> = select.bind(user).bind(user).bind(user).optional(db).await?;
    Ok(row.map(|row| {
        let calendar = Calendar::new(user, now, &row.time_zone, &row.week_start);
        let goes_on = row.last_day.is_some_and(|day| day >= calendar.today.plus(-1));
        let current = row.last_length.filter(|_| goes_on).unwrap_or(0);
        (calendar, Streaks { current, longest: row.longest.unwrap_or(0) })
    }))
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
