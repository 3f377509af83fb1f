//! Monsters in SQL.

use common::{
    db::{Db, DbError, Executor, MaybeContention, Tx, sql},
    ids::Env,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use super::{
    model::{Current, Monster},
    rules::{self, GROWN},
    species,
};
use crate::calendar::Calendar;

/// Why no monster can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The account is gone.
    #[error("the account is gone")]
    NoAccount,
    /// One grows already.
    #[error("a monster is growing")]
    Growing,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl MaybeContention for DrawError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    species: String,
    experience: i64,
    drawn_at: Timestamp,
    grown_at: Option<Timestamp>,
}

impl From<Row> for Monster {
    fn from(row: Row) -> Self {
        Self::new(row.id, &row.species, row.experience, row.drawn_at, row.grown_at)
    }
}

const SELECT: &str = "SELECT id, species, experience, drawn_at, grown_at FROM monsters";

/// The growing monster, and the experience kept for the next.
///
/// # Errors
/// See [`DbError`].
pub async fn current(db: &Db, user: Uuid) -> Result<Current, DbError> {
    let kept_experience = kept(db, user).await?.max(0);
    Ok(Current { monster: growing(db, user).await?, kept_experience })
}

/// The growing monster.
///
/// # Errors
/// See [`DbError`].
pub async fn growing(executor: impl Executor, user: Uuid) -> Result<Option<Monster>, DbError> {
    let row: Option<Row> = sql(format!("{SELECT} WHERE growing_user_id = ?")).bind(user).optional(executor).await?;
    Ok(row.map(Into::into))
}

/// Experience kept for the next monster; negative if more was taken back than there was.
///
/// # Errors
/// See [`DbError`].
pub async fn kept(executor: impl Executor, user: Uuid) -> Result<i64, DbError> {
    let kept = sql("SELECT kept_experience FROM progress WHERE user_id = ?").bind(user).scalar(executor).await?;
    Ok(kept.unwrap_or(0))
}

/// The monsters of a user after the one with id `after`, in the order in which they were drawn: all, or those that are grown.
///
/// # Errors
/// See [`DbError`].
pub async fn list(db: &Db, user: Uuid, after: Uuid, grown_only: bool, limit: u32) -> Result<Vec<Monster>, DbError> {
    let grown = if grown_only { " AND grown_at IS NOT NULL" } else { "" };
    let select = format!("{SELECT} WHERE user_id = ? AND id > ?{grown} ORDER BY id LIMIT ?");
    let rows: Vec<Row> = sql(select).bind(user).bind(after).bind(limit).all(db).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Draws the next monster and gives it the experience that was kept for it.
///
/// # Errors
/// See [`DrawError`].
pub async fn draw(db: &Db, env: &Env, user: Uuid) -> Result<Monster, DrawError> {
    let (id, now) = (env.ids.next_id(), env.clock.now());
    transaction!(db, |tx| draw_in(tx, user, id, now))
}

async fn draw_in(tx: &mut Tx, user: Uuid, id: Uuid, now: Timestamp) -> Result<Monster, DrawError> {
    Calendar::lock(tx, user, now).await?.ok_or(DrawError::NoAccount)?;
    let growing: Option<Uuid> =
        sql("SELECT id FROM monsters WHERE growing_user_id = ?").bind(user).scalar(&mut *tx).await?;
    if growing.is_some() {
        return Err(DrawError::Growing);
    }
    // At most as many rows as there are species.
    let collected: Vec<(String,)> =
        sql("SELECT DISTINCT species FROM monsters WHERE user_id = ?").bind(user).all(&mut *tx).await?;
    let collected: Vec<String> = collected.into_iter().map(|(species,)| species).collect();
    // The last 62 bits of an id are random (RFC 9562, section 5.7).
    let chance = u64::try_from(id.as_u128() & u128::from(u64::MAX >> 2)).unwrap_or_default();
    let species = species::draw(&collected, chance);
    sql("INSERT INTO monsters (id, user_id, growing_user_id, species, experience, drawn_at) VALUES (?, ?, ?, ?, 0, ?)")
        .bind(id)
        .bind(user)
        .bind(user)
        .bind(species.id)
        .bind(now)
        .run(&mut *tx)
        .await?;
    feed_at(tx, user, 0, now).await?;
    let row: Option<Row> = sql(format!("{SELECT} WHERE id = ?")).bind(id).optional(&mut *tx).await?;
    row.map(Into::into).ok_or(DrawError::NoAccount)
}

/// Adds experience to the growing monster, or takes it back if negative; the rest is kept for the next one. A grown
/// monster becomes growing again if experience is taken back before the next is drawn.
///
/// # Errors
/// See [`DbError`].
pub async fn feed(tx: &mut Tx, calendar: &Calendar, food: i64) -> Result<(), DbError> {
    if food == 0 {
        return Ok(());
    }
    feed_at(tx, calendar.user, food, calendar.now).await
}

async fn feed_at(tx: &mut Tx, user: Uuid, food: i64, now: Timestamp) -> Result<(), DbError> {
    let before = kept(&mut *tx, user).await?;
    let food = food + before;
    let mut monster: Option<Row> =
        sql(format!("{SELECT} WHERE growing_user_id = ?")).bind(user).optional(&mut *tx).await?;
    if monster.is_none() && food < 0 {
        let last = format!("{SELECT} WHERE user_id = ? ORDER BY id DESC LIMIT 1");
        monster = sql(last).bind(user).optional(&mut *tx).await?;
    }
    let kept = match monster {
        None => food,
        Some(monster) => {
            let fed = rules::feed(monster.experience, food);
            let grown = fed.experience >= GROWN;
            sql("UPDATE monsters SET experience = ?, growing_user_id = ?, grown_at = ? WHERE id = ?")
                .bind(fed.experience)
                .bind((!grown).then_some(user))
                .bind(grown.then_some(monster.grown_at.unwrap_or(now)))
                .bind(monster.id)
                .run(&mut *tx)
                .await?;
            fed.kept
        }
    };
    if kept != before {
        let upsert = tx.dialect().upsert("user_id", &["kept_experience"]);
        let insert =
            format!("INSERT INTO progress (user_id, main_routine_id, kept_experience) VALUES (?, NULL, ?){upsert}");
        sql(insert).bind(user).bind(kept).run(&mut *tx).await?;
    }
    Ok(())
}
