//! `/monsters`.

use poem::web::Data;
use poem_openapi::{ApiResponse, OpenApi, param::Query, payload::Json};
use uuid::Uuid;

use super::{
    model::{Current, Monster, Species},
    species::SPECIES,
    store::{self, DrawError},
};
use crate::{
    caller::Caller,
    context::Context,
    page::{self, Page},
    problem::{Code, Failure, Problem, SECURED, codes},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

/// A monster was drawn.
#[derive(ApiResponse)]
pub enum Drawn {
    /// The monster, which grows from now on.
    #[oai(status = 201)]
    Created(Json<Monster>),
}

impl From<DrawError> for Failure {
    fn from(error: DrawError) -> Self {
        match error {
            DrawError::NoAccount => Code::Unauthenticated.into(),
            DrawError::Growing => Code::MonsterGrowing.into(),
            DrawError::Db(error) => error.into(),
        }
    }
}

#[OpenApi(prefix_path = "/monsters", tag = "Tag::Monsters")]
impl Endpoints {
    /// The species of monsters
    ///
    /// Open to everyone. They fit on one page.
    #[oai(path = "/species", method = "get", operation_id = "list_species")]
    async fn list_species(&self) -> Result<Json<Page<Species>>, Problem<0>> {
        Ok(Json(Page { items: SPECIES.iter().map(Into::into).collect(), next_cursor: None }))
    }

    /// Your monster that grows
    #[oai(path = "/current", method = "get", operation_id = "get_current_monster")]
    async fn get_current_monster(&self, cx: Data<&Context>, caller: Caller) -> Result<Json<Current>, Problem<SECURED>> {
        Ok(Json(store::current(&cx.db, caller.0.user).await?))
    }

    /// Draw a monster
    ///
    /// At random among the species you have not collected; when you have all, among all. One grows at a time. It begins
    /// with the experience that was kept for it.
    #[oai(path = "/", method = "post", operation_id = "draw_monster")]
    async fn draw_monster(
        &self,
        cx: Data<&Context>,
        caller: Caller,
    ) -> Result<Drawn, Problem<{ SECURED | codes(&[Code::MonsterGrowing]) }>> {
        Ok(Drawn::Created(Json(store::draw(&cx.db, &cx.env, caller.0.user).await?)))
    }

    /// Your grown monsters
    ///
    /// In the order in which you drew them.
    #[oai(path = "/collection", method = "get", operation_id = "list_collection")]
    async fn list_collection(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Monster>>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let limit = page::limit(limit.0)?;
        let after: Option<Uuid> = page::decode_cursor(cursor.0.as_deref())?;
        let monsters = store::list(&cx.db, caller.0.user, after.unwrap_or_default(), true, limit + 1).await?;
        Ok(Json(Page::new(monsters, limit, |monster| monster.id)))
    }
}
