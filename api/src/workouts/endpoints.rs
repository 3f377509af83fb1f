//! `/workouts`, and beginning one at `/routines/{id}/workouts`.

use poem::web::Data;
use poem_openapi::{ApiResponse, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use super::{
    model::{Progress, Workout},
    store::{self, WorkoutError},
};
use crate::{
    caller::Caller,
    context::Context,
    problem::{Code, Failure, Problem, SECURED, codes},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

/// The open workout.
#[derive(ApiResponse)]
pub enum Begun {
    /// It was open already.
    #[oai(status = 200)]
    Open(Json<Workout>),
    /// It begins now.
    #[oai(status = 201)]
    Created(Json<Workout>),
}

impl From<WorkoutError> for Failure {
    fn from(error: WorkoutError) -> Self {
        match error {
            WorkoutError::NoAccount => Code::Unauthenticated.into(),
            WorkoutError::NotFound => Code::NotFound.into(),
            WorkoutError::Finished => Code::WorkoutFinished.into(),
            WorkoutError::OtherDay => Code::CompletedEarlier.into(),
            WorkoutError::Db(error) => error.into(),
        }
    }
}

#[OpenApi(tag = "Tag::Workouts")]
impl Endpoints {
    /// Begin a workout
    ///
    /// A routine has one open workout: if there is one already, it is that one, wherever you began it.
    #[oai(path = "/routines/:id/workouts", method = "post", operation_id = "begin_workout")]
    async fn begin_workout(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The routine.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Begun, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        let (workout, new) = store::start(&cx.db, &cx.env, caller.0.user, id.0).await?;
        Ok(if new { Begun::Created(Json(workout)) } else { Begun::Open(Json(workout)) })
    }

    /// One of your workouts
    #[oai(path = "/workouts/:id", method = "get", operation_id = "get_workout")]
    async fn get_workout(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The workout.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Json<Workout>, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        Ok(Json(store::find(&cx.db, caller.0.user, id.0).await?))
    }

    /// Complete an action
    ///
    /// 100 experience, and 20 for each action of the workout when it is the last one, which finishes it; at most 2,000 a
    /// day. Completing it twice is the same as once.
    #[oai(path = "/workouts/:id/actions/:position/completion", method = "put", operation_id = "complete_action")]
    async fn complete_action(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The workout.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        /// The action's place, from 1.
        #[oai(example = "crate::examples::position")]
        position: Path<u32>,
    ) -> Result<Json<Progress>, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        Ok(Json(store::complete(&cx.db, &cx.env, caller.0.user, id.0, position.0 as usize).await?))
    }

    /// Take a completion back
    ///
    /// And its experience. On the day of the completion, while the workout is open. An action that is not completed stays so.
    #[oai(path = "/workouts/:id/actions/:position/completion", method = "delete", operation_id = "undo_action")]
    async fn undo_action(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The workout.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        /// The action's place, from 1.
        #[oai(example = "crate::examples::position")]
        position: Path<u32>,
    ) -> Result<
        Json<Progress>,
        Problem<{ SECURED | codes(&[Code::NotFound, Code::WorkoutFinished, Code::CompletedEarlier]) }>,
    > {
        Ok(Json(store::undo(&cx.db, &cx.env, caller.0.user, id.0, position.0 as usize).await?))
    }

    /// Begin an open workout anew
    ///
    /// Every completion is taken back with its experience, those of earlier days too.
    #[oai(path = "/workouts/:id/reset", method = "post", operation_id = "reset_workout")]
    async fn reset_workout(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The workout.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Json<Progress>, Problem<{ SECURED | codes(&[Code::NotFound, Code::WorkoutFinished]) }>> {
        Ok(Json(store::reset(&cx.db, &cx.env, caller.0.user, id.0).await?))
    }
}
