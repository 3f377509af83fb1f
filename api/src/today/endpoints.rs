//! `/me/today` and `/me/main-routine`.

use poem::web::Data;
use poem_openapi::{ApiResponse, OpenApi, payload::Json};

use super::model::{MainRoutine, Today};
use crate::{
    awards::{ledger, rules::DAY_CAP},
    calendar::Calendar,
    caller::Caller,
    context::Context,
    history::rules::mark,
    input::Input,
    monsters,
    problem::{Code, Problem, SECURED, WITH_BODY, codes},
    routines,
    server::Tag,
    workouts,
};

/// The operations.
pub struct Endpoints;

/// Done; there is nothing to say.
#[derive(ApiResponse)]
pub enum Chosen {
    /// The main routine is chosen.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(prefix_path = "/me", tag = "Tag::Me")]
impl Endpoints {
    /// Today
    ///
    /// The main routine with its open workout, the monster, and what today has brought.
    #[oai(path = "/today", method = "get", operation_id = "get_today")]
    async fn get_today(&self, cx: Data<&Context>, caller: Caller) -> Result<Json<Today>, Problem<SECURED>> {
        let (user, db) = (caller.0.user, &cx.db);
        let calendar = Calendar::read(db, user, cx.around.clock.now()).await?.ok_or(Code::Unauthenticated)?;
        let main_routine = routines::store::main(db, user).await?;
        let workout = match &main_routine {
            Some(routine) => workouts::store::open(db, routine.id).await?,
            None => None,
        };
        let current = monsters::store::current(db, user).await?;
        let sum = ledger::sum(db, user, calendar.today).await?;
        Ok(Json(Today {
            day: calendar.today,
            main_routine,
            workout,
            monster: current.monster,
            kept_experience: current.kept_experience,
            experience: sum.experience,
            experience_cap: DAY_CAP,
            actions: sum.actions,
            routines: sum.routines,
            mark: mark(sum),
        }))
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
        routines::store::set_main(&cx.db, &cx.around, caller.0.user, input.0.routine_id).await?;
        Ok(Chosen::Done)
    }
}
