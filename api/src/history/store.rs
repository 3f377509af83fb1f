//! Sums of days and weeks in SQL.

use std::collections::BTreeMap;

use common::db::{Db, DbError, sql};
use uuid::Uuid;

use crate::{awards::ledger::Sum, day::Day};

#[derive(sqlx::FromRow)]
struct Row {
    day: Day,
    actions: i64,
    routines: i64,
    experience: i64,
}

/// The sums of a user's days from `first` to `last`; inactive days are absent.
///
/// # Errors
/// See [`DbError`].
pub async fn days(db: &Db, user: Uuid, first: Day, last: Day) -> Result<BTreeMap<Day, Sum>, DbError> {
    let select = sql("SELECT day, actions, routines, experience FROM active_days \
                      WHERE user_id = ? AND day BETWEEN ? AND ? ORDER BY day");
    Ok(by_day(select.bind(user).bind(first).bind(last).all(db).await?))
}

/// The sums of a user's weeks, by their first days, from the week that begins at `first` to the one that ends at
/// `last`; inactive weeks are absent.
///
/// # Errors
/// See [`DbError`].
pub async fn weeks(db: &Db, user: Uuid, first: Day, last: Day) -> Result<BTreeMap<Day, Sum>, DbError> {
    let select = sql("SELECT day - (day - ?) % 7 AS day, CAST(SUM(actions) AS SIGNED) AS actions, \
                      CAST(SUM(routines) AS SIGNED) AS routines, CAST(SUM(experience) AS SIGNED) AS experience \
                      FROM active_days WHERE user_id = ? AND day BETWEEN ? AND ? GROUP BY 1");
    Ok(by_day(select.bind(first).bind(user).bind(first).bind(last).all(db).await?))
}

fn by_day(rows: Vec<Row>) -> BTreeMap<Day, Sum> {
    let sum = |Row { day, actions, routines, experience }| (day, Sum { actions, routines, experience });
    rows.into_iter().map(sum).collect()
}
