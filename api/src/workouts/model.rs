//! Workouts as clients see them.

use common::time::Timestamp;
use poem_openapi::{Object, types::Example};
use uuid::Uuid;

use super::rules::CompletionMask;
use crate::{
    actions::catalogue::Kind,
    monsters::model::Monster,
    routines::model::{Actions, RoutineAction},
};

/// An action of a workout.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct WorkoutAction {
    /// Its place, from 1.
    pub position: u32,
    /// Which of the catalogue it is; absent if the user made it up.
    #[oai(skip_serializing_if_is_none)]
    pub action_id: Option<String>,
    /// What to do.
    pub name: String,
    /// What it is good for.
    pub kind: Kind,
    /// How often.
    pub repetitions: u32,
    /// Whether it is done.
    pub completed: bool,
}

impl WorkoutAction {
    /// An action of a routine at its place.
    pub fn new(position: u32, action: RoutineAction, completed: bool) -> Self {
        let RoutineAction { action_id, name, kind, repetitions } = action;
        Self { position, action_id, name, kind, repetitions, completed }
    }
}

impl Example for WorkoutAction {
    fn example() -> Self {
        Self::new(1, RoutineAction::example(), true)
    }
}

/// A run of a routine, as the routine was when it began.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Workout {
    /// Its id.
    pub id: Uuid,
    /// The routine it is a run of; it may have been changed or deleted since.
    pub routine_id: Uuid,
    /// The routine's name.
    pub name: String,
    /// What to do, in order.
    pub actions: Vec<WorkoutAction>,
    /// When it began.
    pub started_at: Timestamp,
    /// When its last action was completed; absent while it is open.
    #[oai(skip_serializing_if_is_none)]
    pub finished_at: Option<Timestamp>,
}

impl Workout {
    /// A run of a routine of which this much is completed.
    pub fn new(
        id: Uuid,
        routine_id: Uuid,
        name: String,
        actions: Actions,
        completed: CompletionMask,
        started_at: Timestamp,
        finished_at: Option<Timestamp>,
    ) -> Self {
        let actions = (1_u32..)
            .zip(actions.0)
            .map(|(position, action)| WorkoutAction::new(position, action, completed.has(position as usize)));
        Self { id, routine_id, name, actions: actions.collect(), started_at, finished_at }
    }
}

impl Example for Workout {
    fn example() -> Self {
        Self {
            id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a12),
            routine_id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10),
            name: "점심 먹고 10분".to_owned(),
            actions: vec![WorkoutAction::example()],
            started_at: Timestamp(1_772_323_200_000),
            finished_at: Some(Timestamp(1_772_323_800_000)),
        }
    }
}

/// A workout after something was done, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Progress {
    /// The workout as it is now.
    pub workout: Workout,
    /// Experience that was awarded for what was done, for finishing the workout by it too; negative if it was taken back.
    pub awarded: i64,
    /// What was not awarded because the day has brought all that a day can.
    pub cut: i64,
    /// Experience of today in all.
    pub today_experience: i64,
    /// The monster that grows; absent if the next is still to be drawn.
    #[oai(skip_serializing_if_is_none)]
    pub monster: Option<Monster>,
}

impl Example for Progress {
    fn example() -> Self {
        Self {
            workout: Workout::example(),
            awarded: 120,
            cut: 0,
            today_experience: 720,
            monster: Some(Monster::example()),
        }
    }
}
