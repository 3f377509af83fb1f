//! `/meetups/{id}/like`.

use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Path, payload::Json, types::Example};
use uuid::Uuid;

use super::store;
use crate::{
    caller::Caller,
    context::Context,
    problem::{Code, Problem, SECURED, codes},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

/// The likes of a meetup after the caller's word.
#[derive(Clone, Copy, Debug, Object)]
#[oai(example)]
pub struct Likes {
    /// Whether the caller likes it.
    pub liked: bool,
    /// How many like it.
    pub like_count: i64,
}

impl Example for Likes {
    fn example() -> Self {
        Self { liked: true, like_count: 5 }
    }
}

#[OpenApi(prefix_path = "/meetups", tag = "Tag::Meetups")]
impl Endpoints {
    /// Like a meetup
    ///
    /// Liking it twice is the same as once.
    #[oai(path = "/:id/like", method = "put", operation_id = "like_meetup")]
    async fn like_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Json<Likes>, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        let like_count = store::set(&cx.db, &cx.env, id.0, caller.0.user, true).await?;
        Ok(Json(Likes { liked: true, like_count }))
    }

    /// Like a meetup no more
    #[oai(path = "/:id/like", method = "delete", operation_id = "unlike_meetup")]
    async fn unlike_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Json<Likes>, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        let like_count = store::set(&cx.db, &cx.env, id.0, caller.0.user, false).await?;
        Ok(Json(Likes { liked: false, like_count }))
    }
}
