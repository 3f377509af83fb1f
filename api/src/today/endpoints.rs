//! `/me/today` and `/me/main-routine`.

use poem::web::Data;
use poem_openapi::{ApiResponse, OpenApi};

use super::model::MainRoutine;
use crate::{
    caller::Caller,
    context::Context,
    input::Input,
    problem::{Code, Problem, SECURED, WITH_BODY, codes},
    routines::store,
    server::Tag,
};

/// The operations.
pub struct Endpoints;

/// Done; there is nothing to say.
#[derive(ApiResponse)]
pub enum Changed {
    /// Done.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(prefix_path = "/me", tag = "Tag::Me")]
impl Endpoints {
    /// Choose your main routine
    ///
    /// The one that `GET /me/today` shows.
    #[oai(path = "/main-routine", method = "put", operation_id = "choose_main_routine")]
    async fn choose_main_routine(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        input: Input<MainRoutine>,
    ) -> Result<Changed, Problem<{ SECURED | WITH_BODY | codes(&[Code::NotFound]) }>> {
        store::set_main(&cx.db, &cx.around, caller.0.user, input.0.routine_id).await?;
        Ok(Changed::Done)
    }
}
