//! Runs of active days in SQL, kept as they change: reading the longest never looks at all the days of a life.

use common::{
    db::{Db, DbError, Tx, sql},
    time::Timestamp,
};
use uuid::Uuid;

use super::runs::{self, Run};
use crate::{calendar::Calendar, day::Day};

/// A user's runs that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streaks {
    /// Days of the run that today belongs to or can still go on.
    pub current: i64,
    /// Days of the longest run ever.
    pub longest: i64,
}

/// A day became active.
pub(super) async fn add(tx: &mut Tx, user: Uuid, day: Day) -> Result<(), DbError> {
    change(tx, user, day, runs::with).await
}

/// A day was emptied.
pub(super) async fn remove(tx: &mut Tx, user: Uuid, day: Day) -> Result<(), DbError> {
    change(tx, user, day, runs::without).await
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
