//! `/me/today` and `/me/main-routine`.

use poem::web::Data;
use poem_openapi::{OpenApi, payload::Json};

use super::{
    model::{MainRoutine, Today},
    store,
};
use crate::{
    caller::Caller,
    context::Context,
    input::Input,
    no_content::no_content,
    problem::{Code, Problem, SECURED, WITH_BODY, codes},
    routines,
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

no_content!(Chosen, " The main routine is chosen.");

#[OpenApi(prefix_path = "/me", tag = "Tag::Me")]
impl Endpoints {
    /// Today
    ///
    /// The main routine with its open workout, the monster, and what today has brought.
    #[oai(path = "/today", method = "get", operation_id = "get_today")]
    async fn get_today(&self, cx: Data<&Context>, caller: Caller) -> Result<Json<Today>, Problem<SECURED>> {
        let today = store::read(&cx.db, caller.0.user, cx.env.clock.now()).await?;
        Ok(Json(today.ok_or(Code::Unauthenticated)?))
    }

    /// Choose your main routine
    ///
    /// The one that `GET /me/today` shows.
    #[oai(path = "/main-routine", method = "put", operation_id = "choose_main_routine")]
    async fn choose_main_routine(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        input: Input<MainRoutine>,
    ) -> Result<Chosen, Problem<{ SECURED | WITH_BODY | codes(&[Code::NotFound]) }>> {
        routines::store::set_main(&cx.db, &cx.env, caller.0.user, input.0.routine_id).await?;
        Ok(Chosen::Done)
    }
}
