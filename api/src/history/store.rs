//! Days in SQL.

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

/// What a user did on the days from `first` to `last`; days without anything are absent.
///
/// # Errors
/// See [`DbError`].
pub async fn days(db: &Db, user: Uuid, first: Day, last: Day) -> Result<BTreeMap<Day, Sum>, DbError> {
    let select = sql("SELECT day, actions, routines, experience FROM active_days \
                      WHERE user_id = ? AND day BETWEEN ? AND ? ORDER BY day");
    let rows: Vec<Row> = select.bind(user).bind(first).bind(last).all(db).await?;
    let sum = |row: Row| {
        let Row { day, actions, routines, experience } = row;
        (day, Sum { actions, routines, experience })
    };
    Ok(rows.into_iter().map(sum).collect())
}
