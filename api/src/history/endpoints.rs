//! `/history`.

use poem::web::Data;
use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::{
    model::{By, Graph, Habits, Series},
    rules::{self, MAX_WEEKS, WEEK},
    store,
};
use crate::{
    awards::streaks,
    calendar::Calendar,
    caller::Caller,
    context::Context,
    day::{Day, Month},
    page,
    problem::{Code, Failure, Problem, SECURED, codes},
    tags::Tag,
};

/// Weeks of a series where the client does not say.
const DEFAULT_WEEKS: u32 = 12;

/// The operations.
pub struct Endpoints;

/// The caller's calendar.
async fn calendar(cx: &Context, caller: &Caller) -> Result<Calendar, Failure> {
    let calendar = Calendar::read(&cx.db, caller.0.user, cx.env.clock.now()).await?;
    Ok(calendar.ok_or(Code::Unauthenticated)?)
}

#[OpenApi(prefix_path = "/history", tag = "Tag::History")]
impl Endpoints {
    /// A month of your habits
    ///
    /// Every day of it with what you did, and your streaks. What you did stays on the day that it was for you then.
    #[oai(path = "/habits", method = "get", operation_id = "get_habits")]
    async fn get_habits(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// `YYYY-MM`; the present one if absent.
        #[oai(example = "crate::examples::month")]
        month: Query<Option<String>>,
    ) -> Result<Json<Habits>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let asked: Option<Result<Month, _>> = month.0.map(|month| month.parse());
        let asked = asked.transpose().map_err(|_| page::invalid("month", "malformed"))?;
        let read = streaks::read(&cx.db, caller.0.user, cx.env.clock.now()).await?;
        let (calendar, streaks) = read.ok_or(Code::Unauthenticated)?;
        let month = asked.unwrap_or_else(|| Month::of(calendar.today));
        let (first, last) = (month.first(), month.last());
        let sums = store::days(&cx.db, calendar.user, first, last).await?;
        Ok(Json(Habits {
            month: month.to_string(),
            first_weekday: first.weekday().into(),
            days: rules::habits(&sums, first, last),
            today: calendar.today,
            current_streak: streaks.current,
            longest_streak: streaks.longest,
        }))
    }

    /// Seven days as bars
    #[oai(path = "/graph", method = "get", operation_id = "get_graph")]
    async fn get_graph(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The first day; the first of the present week if absent.
        from: Query<Option<Day>>,
        /// What to count; actions if absent.
        by: Query<Option<By>>,
    ) -> Result<Json<Graph>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let calendar = calendar(&cx, &caller).await?;
        let from = from.0.unwrap_or_else(|| calendar.today.week(calendar.week_start));
        let sums = store::days(&cx.db, calendar.user, from, from.plus(WEEK - 1)).await?;
        Ok(Json(rules::graph(&sums, from, calendar.today, by.0.unwrap_or(By::Actions))))
    }

    /// Weeks up to the present one
    #[oai(path = "/series", method = "get", operation_id = "get_series")]
    async fn get_series(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// How many, 1–53; 12 if absent.
        #[oai(example = "crate::examples::weeks")]
        weeks: Query<Option<u32>>,
        /// What to count; actions if absent.
        by: Query<Option<By>>,
    ) -> Result<Json<Series>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let weeks = weeks.0.unwrap_or(DEFAULT_WEEKS);
        if !(1..=MAX_WEEKS).contains(&weeks) {
            return Err(page::invalid("weeks", "out_of_range").into());
        }
        let calendar = calendar(&cx, &caller).await?;
        let last_week = calendar.today.week(calendar.week_start);
        let first = last_week.plus(-WEEK * (i64::from(weeks) - 1));
        let sums = store::weeks(&cx.db, calendar.user, first, last_week.plus(WEEK - 1)).await?;
        Ok(Json(rules::series(&sums, last_week, weeks, by.0.unwrap_or(By::Actions))))
    }
}
