//! What a user did: routines, workouts, awards, monsters. Sums by day and streaks follow from the awards.

use common::{
    db::{Db, DbError, Value, sql},
    time::Timestamp,
};
use poem_openapi::{Object, types::Example};
use uuid::Uuid;

use super::Section;
use crate::{
    day::Day,
    routines::model::{Actions, RoutineAction},
};

/// An id as the examples show it.
const EXAMPLE_ID: Uuid = Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10);
const EXAMPLE_TIME: Timestamp = Timestamp(1_772_323_200_000);

/// What is chosen and what waits.
#[derive(Debug, Default, Object, sqlx::FromRow)]
#[oai(rename = "ExportedProgress", example)]
pub struct ProgressRow {
    /// The main routine.
    pub main_routine_id: Option<Uuid>,
    /// Experience that waits for the next monster; negative if more was taken back than there was.
    pub kept_experience: i64,
}

impl ProgressRow {
    pub(super) async fn read(db: &Db, user: Uuid) -> Result<Self, DbError> {
        let select = sql("SELECT main_routine_id, kept_experience FROM progress WHERE user_id = ?");
        Ok(select.bind(user).optional(db).await?.unwrap_or_default())
    }
}

impl Example for ProgressRow {
    fn example() -> Self {
        Self { main_routine_id: Some(EXAMPLE_ID), kept_experience: 0 }
    }
}

/// A routine.
#[derive(Debug, Object, sqlx::FromRow)]
#[oai(rename = "ExportedRoutine", example)]
pub struct RoutineRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What to do, in order.
    #[sqlx(try_from = "String")]
    pub actions: Actions,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Example for RoutineRow {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            name: "점심 먹고 10분".to_owned(),
            actions: Actions(vec![RoutineAction::example()]),
            created_at: EXAMPLE_TIME,
            updated_at: EXAMPLE_TIME,
        }
    }
}

/// A workout.
#[derive(Debug, Object, sqlx::FromRow)]
#[oai(rename = "ExportedWorkout", example)]
pub struct WorkoutRow {
    /// Its id.
    pub id: Uuid,
    /// The routine it was a run of.
    pub routine_id: Uuid,
    /// The routine's name at that time.
    pub name: String,
    /// What there was to do, in order. The awards say what was done.
    #[sqlx(try_from = "String")]
    pub actions: Actions,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
}

impl Example for WorkoutRow {
    fn example() -> Self {
        let RoutineRow { id, name, actions, .. } = RoutineRow::example();
        Self { id, routine_id: id, name, actions, started_at: EXAMPLE_TIME, finished_at: Some(EXAMPLE_TIME) }
    }
}

/// An award.
#[derive(Debug, Object, sqlx::FromRow)]
#[oai(rename = "ExportedAward", example)]
pub struct AwardRow {
    /// The workout it was given for.
    pub workout_id: Uuid,
    /// The place, from 1, of the completed action; 0 for finishing the workout.
    pub action: i64,
    /// The user's day.
    pub day: Day,
    /// Experience before the day's cap.
    pub entitled: i64,
    /// Experience.
    pub amount: i64,
    /// When.
    pub at: Timestamp,
}

impl Example for AwardRow {
    fn example() -> Self {
        Self { workout_id: EXAMPLE_ID, action: 1, day: Day(20_513), entitled: 100, amount: 100, at: EXAMPLE_TIME }
    }
}

/// A monster.
#[derive(Debug, Object, sqlx::FromRow)]
#[oai(rename = "ExportedMonster", example)]
pub struct MonsterRow {
    /// Its id.
    pub id: Uuid,
    /// Its species.
    pub species: String,
    /// Its experience.
    pub experience: i64,
    /// When it was drawn.
    pub drawn_at: Timestamp,
    /// When it was grown.
    pub grown_at: Option<Timestamp>,
}

impl Example for MonsterRow {
    fn example() -> Self {
        let species = "muneo".to_owned();
        Self { id: EXAMPLE_ID, species, experience: 34_500, drawn_at: EXAMPLE_TIME, grown_at: None }
    }
}

sections! {
    RoutineRow "routines" by id: "SELECT id, name, actions, created_at, updated_at FROM routines \
        WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?";
    WorkoutRow "workouts" by id: "SELECT id, routine_id, name, actions, started_at, finished_at FROM workouts \
        WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?";
    MonsterRow "monsters" by id: "SELECT id, species, experience, drawn_at, grown_at FROM monsters \
        WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?";
}

impl Section for AwardRow {
    const NAME: &'static str = "awards";
    const SELECT: &'static str = "SELECT workout_id, cause AS action, day, entitled, amount, at FROM awards \
        WHERE user_id = ? AND workout_id >= ? AND (workout_id > ? OR cause > ?) ORDER BY workout_id, cause LIMIT ?";

    fn first() -> Vec<Value> {
        vec![Uuid::nil().into(), Uuid::nil().into(), 0.into()]
    }

    fn key(&self) -> Vec<Value> {
        vec![self.workout_id.into(), self.workout_id.into(), self.action.into()]
    }
}
