//! `/me/meetups`.

use poem::web::Data;
use poem_openapi::{OpenApi, param::Query, payload::Json};
use uuid::Uuid;

use super::{Involvement, store};
use crate::{
    caller::Caller,
    context::Context,
    meetups::model::Meetup,
    page::{self, Page},
    problem::{Code, Problem, SECURED, codes},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

#[OpenApi(prefix_path = "/me", tag = "Tag::Me")]
impl Endpoints {
    /// Your meetups
    ///
    /// Those opened last come first; those that are over or were called off are there too.
    #[oai(path = "/meetups", method = "get", operation_id = "list_my_meetups")]
    async fn list_my_meetups(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// What you have to do with them.
        #[oai(example = "Involvement::example")]
        role: Query<Involvement>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Meetup>>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let limit = page::limit(limit.0)?;
        let before: Option<Uuid> = page::decode_cursor(cursor.0.as_deref())?;
        let rows = store::list(&cx.db, caller.0.user, role.0, before, limit + 1).await?;
        let now = cx.env.clock.now();
        let meetups: Vec<Meetup> = rows.into_iter().map(|row| row.into_meetup(now)).collect();
        Ok(Json(Page::new(meetups, limit, |meetup| meetup.id)))
    }
}
