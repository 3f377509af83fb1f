//! Ledger of awards in SQL, and its sums by day.

use common::db::{DbError, Executor, Tx, sql};
use uuid::Uuid;

use super::{cause::Cause, rules, streaks};
use crate::{calendar::Calendar, day::Day, monsters};

/// An award.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Award {
    /// Amount before the day's cap.
    pub entitled: i64,
    /// Amount given after the cap.
    pub amount: i64,
}

/// Sums of a user's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Sum {
    /// Completed actions.
    pub actions: i64,
    /// Finished workouts.
    pub routines: i64,
    /// Experience.
    pub experience: i64,
}

#[derive(sqlx::FromRow)]
struct Taken {
    day: Day,
    actions: i64,
    amount: i64,
}

/// The sums of a user's day.
///
/// # Errors
/// See [`DbError`].
pub async fn sum(executor: impl Executor, user: Uuid, day: Day) -> Result<Sum, DbError> {
    let select = sql("SELECT actions, routines, experience FROM active_days WHERE user_id = ? AND day = ?");
    Ok(select.bind(user).bind(day).optional(executor).await?.unwrap_or_default())
}

/// The award for a cause; zero if there is none.
///
/// # Errors
/// See [`DbError`].
pub async fn given(executor: impl Executor, workout: Uuid, cause: Cause) -> Result<Award, DbError> {
    let select = sql("SELECT entitled, amount FROM awards WHERE workout_id = ? AND cause = ?");
    Ok(select.bind(workout).bind(cause).optional(executor).await?.unwrap_or_default())
}

/// The day of the award for a cause.
///
/// # Errors
/// See [`DbError`].
pub async fn day_of(executor: impl Executor, workout: Uuid, cause: Cause) -> Result<Option<Day>, DbError> {
    let select = sql("SELECT day FROM awards WHERE workout_id = ? AND cause = ?");
    select.bind(workout).bind(cause).scalar(executor).await
}

/// Awards `entitled` for a cause, cut to what is left of the day's cap, and adds it to the sums of the user's today.
///
/// # Errors
/// [`DbError::UniqueViolation`] if the cause was awarded before.
pub async fn give(
    tx: &mut Tx,
    calendar: &Calendar,
    workout: Uuid,
    cause: Cause,
    entitled: i64,
) -> Result<Award, DbError> {
    let (user, today) = (calendar.user, calendar.today);
    let before = sum(&mut *tx, user, today).await?;
    let award = Award { entitled, amount: rules::cut(entitled, before.experience) };
    sql("INSERT INTO awards (workout_id, cause, user_id, day, entitled, amount, at) VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(workout)
        .bind(cause)
        .bind(user)
        .bind(today)
        .bind(award.entitled)
        .bind(award.amount)
        .bind(calendar.now)
        .run(&mut *tx)
        .await?;
    let routines = i64::from(cause == Cause::Finish);
    add_to_day(tx, user, today, Sum { actions: 1 - routines, routines, experience: award.amount }).await?;
    monsters::store::feed(tx, calendar, award.amount).await?;
    Ok(award)
}

/// Takes back the award for a cause. Returns its amount.
///
/// # Errors
/// See [`DbError`].
pub async fn take_back(tx: &mut Tx, calendar: &Calendar, workout: Uuid, cause: Cause) -> Result<i64, DbError> {
    let taken = sql("SELECT day, 1 AS actions, amount FROM awards WHERE workout_id = ? AND cause = ?");
    let taken = taken.bind(workout).bind(cause).all(&mut *tx).await?;
    sql("DELETE FROM awards WHERE workout_id = ? AND cause = ?").bind(workout).bind(cause).run(&mut *tx).await?;
    subtract(tx, calendar, taken).await
}

/// Takes back all awards of an open workout. Returns their amount.
///
/// # Errors
/// See [`DbError`].
pub async fn take_back_all(tx: &mut Tx, calendar: &Calendar, workout: Uuid) -> Result<i64, DbError> {
    let taken = sql("SELECT day, COUNT(*) AS actions, CAST(SUM(amount) AS SIGNED) AS amount FROM awards \
                     WHERE workout_id = ? GROUP BY day");
    let taken = taken.bind(workout).all(&mut *tx).await?;
    sql("DELETE FROM awards WHERE workout_id = ?").bind(workout).run(&mut *tx).await?;
    subtract(tx, calendar, taken).await
}

/// Subtracts awards from the sums of their days: at most as many days as a workout has actions, nearly always one.
async fn subtract(tx: &mut Tx, calendar: &Calendar, taken: Vec<Taken>) -> Result<i64, DbError> {
    let mut total = 0;
    for Taken { day, actions, amount } in taken {
        total += amount;
        add_to_day(tx, calendar.user, day, Sum { actions: -actions, routines: 0, experience: -amount }).await?;
    }
    monsters::store::feed(tx, calendar, -total).await?;
    Ok(total)
}

/// Changes the sums of a day. A day whose counts are zero has no row and belongs to no streak.
async fn add_to_day(tx: &mut Tx, user: Uuid, day: Day, change: Sum) -> Result<(), DbError> {
    let updated =
        sql("UPDATE active_days SET actions = actions + ?, routines = routines + ?, experience = experience + ? \
                       WHERE user_id = ? AND day = ?");
    let updated = updated.bind(change.actions).bind(change.routines).bind(change.experience);
    if updated.bind(user).bind(day).run(&mut *tx).await? == 0 {
        sql("INSERT INTO active_days (user_id, day, actions, routines, experience) VALUES (?, ?, ?, ?, ?)")
            .bind(user)
            .bind(day)
            .bind(change.actions)
            .bind(change.routines)
            .bind(change.experience)
            .run(&mut *tx)
            .await?;
        return streaks::add(tx, user, day).await;
    }
    let emptied = sql("DELETE FROM active_days WHERE user_id = ? AND day = ? AND actions = 0 AND routines = 0");
    if change.actions < 0 && emptied.bind(user).bind(day).run(&mut *tx).await? > 0 {
        streaks::remove(tx, user, day).await?;
    }
    Ok(())
}
