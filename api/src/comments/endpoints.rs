//! `/meetups/{id}/comments`, `/comments` and `/me/comments`.

use poem::web::Data;
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    model::{Comment, CommentText, MyComment},
    store::{self, CommentError},
};
use crate::{
    caller::Caller,
    context::Context,
    input::{Fields, Input},
    meetups,
    no_content::no_content,
    page::{self, Page},
    problem::{Code, Failure, Problem, SECURED, WITH_BODY, codes},
    tags::Tag,
};

/// Characters of a comment, at most.
const TEXT_CHARS: usize = 200;

/// The operations.
pub struct Endpoints;

/// The comment is written.
#[derive(ApiResponse)]
pub enum Written {
    /// The comment is written.
    #[oai(status = 201)]
    Created(Json<Comment>),
}

no_content!(Deleted, " The comment is gone.");

impl From<CommentError> for Failure {
    fn from(error: CommentError) -> Self {
        match error {
            CommentError::NoAccount => Code::Unauthenticated.into(),
            CommentError::NotFound => Code::NotFound.into(),
            CommentError::NotTheAuthor => Code::NotTheAuthor.into(),
            CommentError::Db(error) => error.into(),
        }
    }
}

fn text(input: &CommentText) -> Result<String, Failure> {
    let mut fields = Fields::new();
    let text = fields.text("text", &input.text, TEXT_CHARS);
    fields.finish()?;
    Ok(text)
}

#[OpenApi(tag = "Tag::Comments")]
impl Endpoints {
    /// The comments on a meetup
    ///
    /// The latest first. Open to everyone.
    #[oai(path = "/meetups/:id/comments", method = "get", operation_id = "list_comments")]
    async fn list_comments(
        &self,
        cx: Data<&Context>,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Comment>>, Problem<{ codes(&[Code::NotFound, Code::InvalidInput]) }>> {
        let limit = page::limit(limit.0)?;
        let before: Option<Uuid> = page::decode_cursor(cursor.0.as_deref())?;
        meetups::store::find(&cx.db, id.0).await?.ok_or(Code::NotFound)?;
        let comments = store::list(&cx.db, id.0, before, limit + 1).await?;
        Ok(Json(Page::new(comments, limit, |comment| comment.id)))
    }

    /// Write a comment
    #[oai(path = "/meetups/:id/comments", method = "post", operation_id = "write_comment")]
    async fn write_comment(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        input: Input<CommentText>,
    ) -> Result<Written, Problem<{ SECURED | WITH_BODY | codes(&[Code::NotFound]) }>> {
        let text = text(&input.0)?;
        Ok(Written::Created(Json(store::write(&cx.db, &cx.env, id.0, caller.0.user, &text).await?)))
    }

    /// Edit a comment
    ///
    /// Its author only.
    #[oai(path = "/comments/:id", method = "patch", operation_id = "edit_comment")]
    async fn edit_comment(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The comment.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        input: Input<CommentText>,
    ) -> Result<Json<Comment>, Problem<{ SECURED | WITH_BODY | codes(&[Code::NotFound, Code::NotTheAuthor]) }>> {
        let text = text(&input.0)?;
        Ok(Json(store::edit(&cx.db, &cx.env, id.0, caller.0.user, &text).await?))
    }

    /// Delete a comment
    ///
    /// Its author, or the host of the meetup.
    #[oai(path = "/comments/:id", method = "delete", operation_id = "delete_comment")]
    async fn delete_comment(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The comment.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Deleted, Problem<{ SECURED | codes(&[Code::NotFound, Code::NotTheAuthor]) }>> {
        store::delete(&cx.db, id.0, caller.0.user).await?;
        Ok(Deleted::Done)
    }

    /// Your comments
    ///
    /// The latest first.
    #[oai(path = "/me/comments", method = "get", operation_id = "list_my_comments")]
    async fn list_my_comments(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<MyComment>>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let limit = page::limit(limit.0)?;
        let before: Option<Uuid> = page::decode_cursor(cursor.0.as_deref())?;
        let comments = store::list_of(&cx.db, caller.0.user, before, limit + 1).await?;
        Ok(Json(Page::new(comments, limit, |comment| comment.id)))
    }
}
