//! `/routines`.

use poem::web::Data;
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    model::{EditedRoutine, NewRoutine, Routine},
    rules,
    store::{self, RoutineError},
};
use crate::{
    caller::Caller,
    context::Context,
    input::{Fields, Input},
    no_content::no_content,
    page::{self, Page},
    problem::{Code, Failure, Problem, SECURED, WITH_BODY, codes},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

/// The routine is made.
#[derive(ApiResponse)]
pub enum Made {
    /// The routine is made.
    #[oai(status = 201)]
    Created(Json<Routine>),
}

no_content!(Deleted, " The routine is gone; what was done with it stays.");

impl From<RoutineError> for Failure {
    fn from(error: RoutineError) -> Self {
        match error {
            RoutineError::NoAccount => Code::Unauthenticated.into(),
            RoutineError::NotFound => Code::NotFound.into(),
            RoutineError::NameTaken => Code::RoutineNameTaken.into(),
            RoutineError::TooMany => Code::TooManyRoutines.into(),
            RoutineError::Db(error) => error.into(),
        }
    }
}

#[OpenApi(prefix_path = "/routines", tag = "Tag::Routines")]
impl Endpoints {
    /// Your routines
    ///
    /// The oldest first.
    #[oai(path = "/", method = "get", operation_id = "list_routines")]
    async fn list_routines(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Routine>>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let limit = page::limit(limit.0)?;
        let after: Option<Uuid> = page::decode_cursor(cursor.0.as_deref())?;
        let routines = store::list(&cx.db, caller.0.user, after, limit + 1).await?;
        Ok(Json(Page::new(routines, limit, |routine| routine.id)))
    }

    /// Make a routine
    ///
    /// A copy of a preset with `preset_id`, or one of your own with `name` and `actions`. At most 100.
    #[oai(path = "/", method = "post", operation_id = "make_routine")]
    async fn make_routine(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        input: Input<NewRoutine>,
    ) -> Result<Made, Problem<{ SECURED | WITH_BODY | codes(&[Code::RoutineNameTaken, Code::TooManyRoutines]) }>> {
        let mut fields = Fields::new();
        let content = rules::new_routine(&mut fields, input.0);
        fields.finish()?;
        let routine = store::create(&cx.db, &cx.env, caller.0.user, &content).await?;
        Ok(Made::Created(Json(routine)))
    }

    /// One of your routines
    #[oai(path = "/:id", method = "get", operation_id = "get_routine")]
    async fn get_routine(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The routine.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Json<Routine>, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        Ok(Json(store::find(&cx.db, caller.0.user, id.0).await?.ok_or(Code::NotFound)?))
    }

    /// Edit a routine
    ///
    /// An open workout of it goes on as it began.
    #[oai(path = "/:id", method = "put", operation_id = "edit_routine")]
    async fn edit_routine(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The routine.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        input: Input<EditedRoutine>,
    ) -> Result<Json<Routine>, Problem<{ SECURED | WITH_BODY | codes(&[Code::NotFound, Code::RoutineNameTaken]) }>>
    {
        let mut fields = Fields::new();
        let content = rules::edited_routine(&mut fields, input.0);
        fields.finish()?;
        Ok(Json(store::edit(&cx.db, &cx.env, caller.0.user, id.0, &content).await?))
    }

    /// Delete a routine
    ///
    /// What was done with it stays, and an open workout of it can still be finished.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_routine")]
    async fn delete_routine(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The routine.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Deleted, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        store::delete(&cx.db, &cx.env, caller.0.user, id.0).await?;
        Ok(Deleted::Done)
    }
}
