//! A user's calendar: which day it is where they live, and where their weeks begin.

use chrono::Weekday;
use chrono_tz::Tz;
use common::{
    db::{DbError, Executor, Tx, sql},
    time::Timestamp,
};
use uuid::Uuid;

use crate::day::Day;

/// The calendar of a user at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    /// Whose it is.
    pub user: Uuid,
    /// The moment.
    pub now: Timestamp,
    /// The day that it is for the user.
    pub today: Day,
    /// On which day a week begins.
    pub week_start: Weekday,
}

#[derive(sqlx::FromRow)]
struct Row {
    time_zone: String,
    week_start: String,
}

const SELECT: &str = "SELECT time_zone, week_start FROM users WHERE id = ? AND withdrawn_at IS NULL";

impl Calendar {
    /// The calendar of someone with this time zone and week start, as they are stored.
    pub fn new(user: Uuid, now: Timestamp, time_zone: &str, week_start: &str) -> Self {
        // Both are checked when they are stored; a zone that a newer database of zones dropped must not lock anyone out.
        let zone = time_zone.parse().unwrap_or(Tz::Asia__Seoul);
        let week_start = if week_start == "sunday" { Weekday::Sun } else { Weekday::Mon };
        Self { user, now, today: Day::at(now, zone), week_start }
    }

    /// Reads it. `None`: there is no such account any more.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn read(executor: impl Executor, user: Uuid, now: Timestamp) -> Result<Option<Self>, DbError> {
        let row: Option<Row> = sql(SELECT).bind(user).optional(executor).await?;
        Ok(row.map(|row| Self::new(user, now, &row.time_zone, &row.week_start)))
    }

    /// Reads it and locks the user's row: until the transaction ends, nothing else changes what this user has.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn lock(tx: &mut Tx, user: Uuid, now: Timestamp) -> Result<Option<Self>, DbError> {
        let row: Option<Row> =
            sql(format!("{SELECT}{}", tx.dialect().for_update())).bind(user).optional(&mut *tx).await?;
        Ok(row.map(|row| Self::new(user, now, &row.time_zone, &row.week_start)))
    }
}
