//! Streaks in SQL, updated when a day becomes active or inactive, so that reading them never scans all days of a user.

use common::{
    db::{Db, DbError, Tx, sql},
    time::Timestamp,
};
use uuid::Uuid;

use super::runs::{self, Run};
use crate::{calendar::Calendar, day::Day};

/// Current and longest streak of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Streaks {
    /// Length of the streak that today belongs to or can still extend.
    pub current: i64,
    /// Length of the longest streak.
    pub longest: i64,
}

/// Adds a day that became active.
pub(super) async fn add(tx: &mut Tx, user: Uuid, day: Day) -> Result<(), DbError> {
    change(tx, user, day, runs::with).await
}

/// Removes a day that became inactive.
pub(super) async fn remove(tx: &mut Tx, user: Uuid, day: Day) -> Result<(), DbError> {
    change(tx, user, day, runs::without).await
}

async fn change(tx: &mut Tx, user: Uuid, day: Day, rule: fn(&[Run], Day) -> Vec<Run>) -> Result<(), DbError> {
    // Streaks are never adjacent: a day can touch only the two that end next.
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

/// A user's calendar and streaks; one that ended yesterday still counts as current. `None`: there is no such account.
///
/// # Errors
/// See [`DbError`].
pub async fn read(db: &Db, user: Uuid, now: Timestamp) -> Result<Option<(Calendar, Streaks)>, DbError> {
    // Each subquery reads one row of an index, where MAX() may read all streaks of the user.
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
