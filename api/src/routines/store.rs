//! Routines in SQL.

use common::{
    db::{Db, DbError, Executor, MaybeContention, Tx, sql},
    ids::Env,
    text::fold,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use super::{
    model::{Actions, Routine},
    rules::{Content, MAX_ROUTINES},
};
use crate::calendar::Calendar;

/// Why a routine cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum RoutineError {
    /// The account is gone.
    #[error("the account is gone")]
    NoAccount,
    /// The user has none with this id.
    #[error("no such routine")]
    NotFound,
    /// The user has another with this name.
    #[error("the name is taken")]
    NameTaken,
    /// The user has as many as one may have.
    #[error("too many routines")]
    TooMany,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl MaybeContention for RoutineError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    #[sqlx(try_from = "String")]
    actions: Actions,
    main: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Row> for Routine {
    fn from(row: Row) -> Self {
        let Row { id, name, actions, main, created_at, updated_at } = row;
        Self { id, name, actions: actions.0, main: main != 0, created_at, updated_at }
    }
}

const SELECT: &str = "SELECT r.id, r.name, r.actions, \
    CASE WHEN p.user_id IS NULL THEN 0 ELSE 1 END AS main, r.created_at, r.updated_at \
    FROM routines r LEFT JOIN progress p ON p.user_id = r.user_id AND p.main_routine_id = r.id";

/// A routine of a user.
///
/// # Errors
/// See [`DbError`].
pub async fn find(executor: impl Executor, user: Uuid, id: Uuid) -> Result<Option<Routine>, DbError> {
    let select = sql(format!("{SELECT} WHERE r.id = ? AND r.user_id = ?"));
    Ok(select.bind(id).bind(user).optional::<Row>(executor).await?.map(Into::into))
}

/// The routines of a user made after the one with id `after`, the oldest first.
///
/// # Errors
/// See [`DbError`].
pub async fn list(db: &Db, user: Uuid, after: Option<Uuid>, limit: u32) -> Result<Vec<Routine>, DbError> {
    let select = sql(format!("{SELECT} WHERE r.user_id = ? AND r.id > ? ORDER BY r.id LIMIT ?"));
    let rows: Vec<Row> = select.bind(user).bind(after.unwrap_or_default()).bind(limit).all(db).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Makes a routine.
///
/// # Errors
/// See [`RoutineError`].
pub async fn create(db: &Db, env: &Env, user: Uuid, content: &Content) -> Result<Routine, RoutineError> {
    transaction!(db, |tx| create_in(tx, env, user, content))
}

async fn create_in(tx: &mut Tx, env: &Env, user: Uuid, content: &Content) -> Result<Routine, RoutineError> {
    let (id, now) = (env.ids.next_id(), env.clock.now());
    Calendar::lock(tx, user, now).await?.ok_or(RoutineError::NoAccount)?;
    let count: i64 =
        sql("SELECT COUNT(*) FROM routines WHERE user_id = ?").bind(user).scalar(&mut *tx).await?.unwrap_or(0);
    if count >= MAX_ROUTINES {
        return Err(RoutineError::TooMany);
    }
    let insert = sql(
        "INSERT INTO routines (id, user_id, name, name_key, actions, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    let insert = insert.bind(id).bind(user).bind(&content.name).bind(fold(&content.name));
    named(insert.bind(content.actions.to_text()).bind(now).bind(now).run(&mut *tx).await)?;
    find(&mut *tx, user, id).await?.ok_or(RoutineError::NotFound)
}

/// Changes a routine. Workouts under way keep what they began with.
///
/// # Errors
/// See [`RoutineError`].
pub async fn edit(db: &Db, env: &Env, user: Uuid, id: Uuid, content: &Content) -> Result<Routine, RoutineError> {
    let now = env.clock.now();
    transaction!(db, |tx| async {
        Calendar::lock(tx, user, now).await?.ok_or(RoutineError::NoAccount)?;
        let update =
            sql("UPDATE routines SET name = ?, name_key = ?, actions = ?, updated_at = ? WHERE id = ? AND user_id = ?")
                .bind(&content.name)
                .bind(fold(&content.name))
                .bind(content.actions.to_text())
                .bind(now)
                .bind(id)
                .bind(user);
        named(update.run(&mut *tx).await)?;
        find(&mut *tx, user, id).await?.ok_or(RoutineError::NotFound)
    })
}

fn named(outcome: Result<u64, DbError>) -> Result<u64, RoutineError> {
    outcome.map_err(|error| match error {
        DbError::UniqueViolation(_) => RoutineError::NameTaken,
        error => RoutineError::Db(error),
    })
}

/// Deletes a routine; its workouts stay.
///
/// # Errors
/// [`RoutineError::NotFound`] if there was none to delete.
pub async fn delete(db: &Db, env: &Env, user: Uuid, id: Uuid) -> Result<(), RoutineError> {
    let now = env.clock.now();
    transaction!(db, |tx| async {
        // Whoever starts a workout of it holds the same lock.
        Calendar::lock(tx, user, now).await?.ok_or(RoutineError::NoAccount)?;
        let deleted =
            sql("DELETE FROM routines WHERE id = ? AND user_id = ?").bind(id).bind(user).run(&mut *tx).await?;
        if deleted > 0 { Ok(()) } else { Err(RoutineError::NotFound) }
    })
}

/// Makes a routine the user's main routine, or none.
///
/// # Errors
/// [`RoutineError::NotFound`] if the user has no such routine.
pub async fn set_main(db: &Db, env: &Env, user: Uuid, routine: Option<Uuid>) -> Result<(), RoutineError> {
    let now = env.clock.now();
    transaction!(db, |tx| async {
        Calendar::lock(tx, user, now).await?.ok_or(RoutineError::NoAccount)?;
        if let Some(id) = routine {
            find(&mut *tx, user, id).await?.ok_or(RoutineError::NotFound)?;
        }
        let upsert = tx.dialect().upsert("user_id", &["main_routine_id"]);
        sql(format!("INSERT INTO progress (user_id, main_routine_id, kept_experience) VALUES (?, ?, 0){upsert}"))
            .bind(user)
            .bind(routine)
            .run(&mut *tx)
            .await?;
        Ok::<_, RoutineError>(())
    })
}
