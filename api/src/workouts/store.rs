//! Workouts in SQL. Every change holds the lock of the user's row, so that two devices take turns.

use common::{
    db::{Db, DbError, Executor, MaybeContention, Tx, sql},
    ids::Env,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use super::{
    model::{Progress, Workout},
    rules::CompletionMask,
};
use crate::{
    awards::{
        cause::Cause,
        ledger::{self, Award},
        rules,
    },
    calendar::Calendar,
    monsters,
    routines::{self, model::Actions},
};

/// Why something cannot be done with a workout.
#[derive(Debug, thiserror::Error)]
pub enum WorkoutError {
    /// The account is gone.
    #[error("the account is gone")]
    NoAccount,
    /// The user has no such routine or workout, or the workout no such action.
    #[error("no such workout")]
    NotFound,
    /// The workout is finished.
    #[error("the workout is finished")]
    Finished,
    /// The action was completed on an earlier day.
    #[error("the action was completed on another day")]
    OtherDay,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl MaybeContention for WorkoutError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    routine_id: Uuid,
    name: String,
    #[sqlx(try_from = "String")]
    actions: Actions,
    completed: CompletionMask,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    finished_by: Option<i64>,
}

impl Row {
    /// The action at `position`, from 1, as the cause of an award.
    fn cause(&self, position: usize) -> Result<Cause, WorkoutError> {
        let exists = (1..=self.actions.0.len()).contains(&position);
        if exists { Ok(Cause::Action(position)) } else { Err(WorkoutError::NotFound) }
    }
}

impl From<Row> for Workout {
    fn from(row: Row) -> Self {
        let Row { id, routine_id, name, actions, completed, started_at, finished_at, .. } = row;
        Self::new(id, routine_id, name, actions, completed, started_at, finished_at)
    }
}

const SELECT: &str =
    "SELECT id, routine_id, name, actions, completed, started_at, finished_at, finished_by FROM workouts";

/// The workouts of a user after the one with id `after`, in the order in which they began.
///
/// # Errors
/// See [`DbError`].
pub async fn list(db: &Db, user: Uuid, after: Uuid, limit: u32) -> Result<Vec<Workout>, DbError> {
    let select = format!("{SELECT} WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?");
    let rows: Vec<Row> = sql(select).bind(user).bind(after).bind(limit).all(db).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

async fn row(executor: impl Executor, user: Uuid, id: Uuid) -> Result<Row, WorkoutError> {
    let row = sql(format!("{SELECT} WHERE id = ? AND user_id = ?")).bind(id).bind(user).optional(executor).await?;
    row.ok_or(WorkoutError::NotFound)
}

/// A workout of a user.
///
/// # Errors
/// [`WorkoutError::NotFound`], or the database's.
pub async fn find(db: &Db, user: Uuid, id: Uuid) -> Result<Workout, WorkoutError> {
    Ok(row(db, user, id).await?.into())
}

/// The open workout of a routine.
///
/// # Errors
/// See [`DbError`].
pub async fn open(executor: impl Executor, routine: Uuid) -> Result<Option<Workout>, DbError> {
    let row: Option<Row> = sql(format!("{SELECT} WHERE open_routine_id = ?")).bind(routine).optional(executor).await?;
    Ok(row.map(Into::into))
}

/// Begins a workout of a routine, unless one is open. Returns the open one and whether it is new.
///
/// # Errors
/// See [`WorkoutError`].
pub async fn start(db: &Db, env: &Env, user: Uuid, routine: Uuid) -> Result<(Workout, bool), WorkoutError> {
    let (id, now) = (env.ids.next_id(), env.clock.now());
    transaction!(db, |tx| async {
        Calendar::lock(tx, user, now).await?.ok_or(WorkoutError::NoAccount)?;
        let routine = routines::store::find(&mut *tx, user, routine).await?.ok_or(WorkoutError::NotFound)?;
        if let Some(open) = open(&mut *tx, routine.id).await? {
            return Ok((open, false));
        }
        sql("INSERT INTO workouts (id, user_id, routine_id, open_routine_id, name, actions, completed, started_at) \
             VALUES (?, ?, ?, ?, ?, ?, 0, ?)")
        .bind(id)
        .bind(user)
        .bind(routine.id)
        .bind(routine.id)
        .bind(routine.name)
        .bind(Actions(routine.actions).to_text())
        .bind(now)
        .run(&mut *tx)
        .await?;
        Ok((row(&mut *tx, user, id).await?.into(), true))
    })
}

/// Completes the action at a position, from 1; the last one finishes the workout. Completing it again changes nothing and
/// returns the same.
///
/// # Errors
/// See [`WorkoutError`].
pub async fn complete(db: &Db, env: &Env, user: Uuid, id: Uuid, position: usize) -> Result<Progress, WorkoutError> {
    let now = env.clock.now();
    transaction!(db, |tx| complete_in(tx, user, id, position, now))
}

async fn complete_in(
    tx: &mut Tx,
    user: Uuid,
    id: Uuid,
    position: usize,
    now: Timestamp,
) -> Result<Progress, WorkoutError> {
    let calendar = Calendar::lock(tx, user, now).await?.ok_or(WorkoutError::NoAccount)?;
    let workout = row(&mut *tx, user, id).await?;
    let cause = workout.cause(position)?;
    if workout.completed.has(position) {
        let mut awards = vec![ledger::given(&mut *tx, id, cause).await?];
        if workout.finished_by == i64::try_from(position).ok() {
            awards.push(ledger::given(&mut *tx, id, Cause::Finish).await?);
        }
        return progress(tx, &calendar, id, &awards).await;
    }
    let mut awards = vec![ledger::give(tx, &calendar, id, cause, rules::ACTION).await?];
    let completed = workout.completed.with(position);
    sql("UPDATE workouts SET completed = ? WHERE id = ?").bind(completed.0).bind(id).run(&mut *tx).await?;
    let actions = workout.actions.0.len();
    if completed.is_all_of(actions) {
        awards.push(ledger::give(tx, &calendar, id, Cause::Finish, rules::finish(actions)).await?);
        sql("UPDATE workouts SET finished_at = ?, finished_by = ?, open_routine_id = NULL WHERE id = ?")
            .bind(now)
            .bind(position)
            .bind(id)
            .run(&mut *tx)
            .await?;
    }
    progress(tx, &calendar, id, &awards).await
}

/// Undoes the completion of an action, on its day and while the workout is open; idempotent.
///
/// # Errors
/// See [`WorkoutError`].
pub async fn undo(db: &Db, env: &Env, user: Uuid, id: Uuid, position: usize) -> Result<Progress, WorkoutError> {
    let now = env.clock.now();
    transaction!(db, |tx| undo_in(tx, user, id, position, now))
}

async fn undo_in(tx: &mut Tx, user: Uuid, id: Uuid, position: usize, now: Timestamp) -> Result<Progress, WorkoutError> {
    let (calendar, workout) = open_one(tx, user, id, now).await?;
    let cause = workout.cause(position)?;
    if !workout.completed.has(position) {
        return progress(tx, &calendar, id, &[]).await;
    }
    if ledger::day_of(&mut *tx, id, cause).await? != Some(calendar.today) {
        return Err(WorkoutError::OtherDay);
    }
    let taken = ledger::take_back(tx, &calendar, id, cause).await?;
    let completed = workout.completed.without(position);
    sql("UPDATE workouts SET completed = ? WHERE id = ?").bind(completed.0).bind(id).run(&mut *tx).await?;
    progress(tx, &calendar, id, &[taken_back(taken)]).await
}

/// Resets an open workout: clears the mask and takes back its awards.
///
/// # Errors
/// See [`WorkoutError`].
pub async fn reset(db: &Db, env: &Env, user: Uuid, id: Uuid) -> Result<Progress, WorkoutError> {
    let now = env.clock.now();
    transaction!(db, |tx| async {
        let (calendar, _) = open_one(tx, user, id, now).await?;
        let taken = ledger::take_back_all(tx, &calendar, id).await?;
        sql("UPDATE workouts SET completed = 0 WHERE id = ?").bind(id).run(&mut *tx).await?;
        progress(tx, &calendar, id, &[taken_back(taken)]).await
    })
}

async fn open_one(tx: &mut Tx, user: Uuid, id: Uuid, now: Timestamp) -> Result<(Calendar, Row), WorkoutError> {
    let calendar = Calendar::lock(tx, user, now).await?.ok_or(WorkoutError::NoAccount)?;
    let workout = row(&mut *tx, user, id).await?;
    if workout.finished_at.is_some() {
        return Err(WorkoutError::Finished);
    }
    Ok((calendar, workout))
}

const fn taken_back(amount: i64) -> Award {
    Award { entitled: -amount, amount: -amount }
}

async fn progress(tx: &mut Tx, calendar: &Calendar, id: Uuid, awards: &[Award]) -> Result<Progress, WorkoutError> {
    Ok(Progress {
        workout: row(&mut *tx, calendar.user, id).await?.into(),
        awarded: awards.iter().map(|award| award.amount).sum(),
        cut: awards.iter().map(|award| award.entitled - award.amount).sum(),
        today_experience: ledger::sum(&mut *tx, calendar.user, calendar.today).await?.experience,
        monster: monsters::store::growing(&mut *tx, calendar.user).await?,
    })
}
