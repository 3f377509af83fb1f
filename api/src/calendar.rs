//! Calendar of a user: today's date in their time zone, and the first day of their weeks.

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
    /// The user.
    pub user: Uuid,
    /// The moment.
    pub now: Timestamp,
    /// Today in the user's time zone.
    pub today: Day,
    /// First day of the week.
    pub week_start: Weekday,
}

#[derive(sqlx::FromRow)]
struct Row {
    time_zone: String,
    week_start: String,
}

const SELECT: &str = "SELECT time_zone, week_start FROM users WHERE id = ? AND withdrawn_at IS NULL";

impl Calendar {
    /// The calendar from the stored columns `time_zone` and `week_start`.
    pub fn new(user: Uuid, now: Timestamp, time_zone: &str, week_start: &str) -> Self {
        // Both are validated before they are stored; a zone that a newer time zone database dropped must not lock
        // anyone out.
        let zone = time_zone.parse().unwrap_or(Tz::Asia__Seoul);
        let week_start = if week_start == "sunday" { Weekday::Sun } else { Weekday::Mon };
        Self { user, now, today: Day::at(now, zone), week_start }
    }

    /// Reads it. `None`: there is no active account.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn read(executor: impl Executor, user: Uuid, now: Timestamp) -> Result<Option<Self>, DbError> {
        let row: Option<Row> = sql(SELECT).bind(user).optional(executor).await?;
        Ok(row.map(|row| Self::new(user, now, &row.time_zone, &row.week_start)))
    }

    /// Reads it and locks the user's row, which serialises all changes of the user's fitness data until the
    /// transaction ends.
    ///
    /// # Errors
    /// See [`DbError`].
    pub async fn lock(tx: &mut Tx, user: Uuid, now: Timestamp) -> Result<Option<Self>, DbError> {
        let row: Option<Row> =
            sql(format!("{SELECT}{}", tx.dialect().for_update())).bind(user).optional(&mut *tx).await?;
        Ok(row.map(|row| Self::new(user, now, &row.time_zone, &row.week_start)))
    }
}
