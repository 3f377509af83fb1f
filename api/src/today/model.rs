//! Today as clients see it.

use poem_openapi::{Object, types::Example};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    awards::rules::DAY_CAP, day::Day, history::model::Mark, monsters::model::Monster, routines::model::Routine,
    workouts::model::Workout,
};

/// What the main page shows.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Today {
    /// Which day it is for the user.
    pub day: Day,
    /// The main routine; absent if none is chosen.
    #[oai(skip_serializing_if_is_none)]
    pub main_routine: Option<Routine>,
    /// Its open workout; absent if none is open.
    #[oai(skip_serializing_if_is_none)]
    pub workout: Option<Workout>,
    /// The monster that grows; absent if the next is still to be drawn.
    #[oai(skip_serializing_if_is_none)]
    pub monster: Option<Monster>,
    /// Experience that waits for the next monster.
    pub kept_experience: i64,
    /// Experience of today.
    pub experience: i64,
    /// The most that a day can bring.
    pub experience_cap: i64,
    /// Actions completed today.
    pub actions: i64,
    /// Workouts finished today.
    pub routines: i64,
    /// What today is marked with in the habit tracker.
    pub mark: Mark,
}

impl Example for Today {
    fn example() -> Self {
        Self {
            day: Day::EXAMPLE,
            main_routine: Some(Routine::example()),
            workout: Some(Workout { finished_at: None, ..Workout::example() }),
            monster: Some(Monster::example()),
            kept_experience: 0,
            experience: 720,
            experience_cap: DAY_CAP,
            actions: 6,
            routines: 1,
            mark: Mark::Routine,
        }
    }
}

/// Which routine the main page is about.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct MainRoutine {
    /// One of your routines; null for none.
    #[oai(skip_serializing_if_is_none)]
    #[serde(deserialize_with = "Option::deserialize")]
    pub routine_id: Option<Uuid>,
}

impl Example for MainRoutine {
    fn example() -> Self {
        Self { routine_id: Some(Routine::example().id) }
    }
}
