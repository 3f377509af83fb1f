//! `/meetups/{id}/messages`, `/meetups/{id}/notice` and `/meetups/{id}/presence`.

use common::{
    membership::{self, Membership, Standing},
    rooms::{Appended, Draft, Range},
};
use poem::web::Data;
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;
use wire::{Body, NONCE_CHARS, NOTICE_CHARS, Notice, Person, Role};

use super::model::{EntryItem, EntryPage, NewMessage, NewNotice, Posted, RoomPresence};
use crate::{
    caller::Caller,
    context::Context,
    input::{Fields, Input},
    no_content::no_content,
    page,
    problem::{Code, Failure, Problem, SECURED, WITH_BODY, codes},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

/// What only members may do can answer these.
const MEMBERS: u128 = SECURED | codes(&[Code::NotFound, Code::NotAMember]);
/// What only the host may do can answer these.
const HOST: u128 = MEMBERS | codes(&[Code::NotTheHost, Code::RoomReadOnly]);

/// People named by `get_presence`, at most.
const PRESENT: usize = 200;

/// The message is in the log.
#[derive(ApiResponse)]
pub enum PostedResponse {
    /// The message is in the log, and on its way to everyone in the room.
    #[oai(status = 201)]
    Created(Json<Posted>),
    /// It had been accepted before; nothing was added.
    #[oai(status = 200)]
    Duplicate(Json<Posted>),
}

/// The notice, if there is one.
#[derive(ApiResponse)]
pub enum NoticeResponse {
    /// The notice.
    #[oai(status = 200)]
    Set(Json<Notice>),
    /// No notice is set.
    #[oai(status = 204)]
    None,
}

no_content!(Cleared, " No notice is set now.");

#[OpenApi(prefix_path = "/meetups", tag = "Tag::Room")]
impl Endpoints {
    /// A page of the room's log
    ///
    /// Without parameters the latest entries; `after` and `before` name an entry by its `seq`. Messages have their present
    /// state. Members only.
    #[oai(path = "/:id/messages", method = "get", operation_id = "list_messages")]
    async fn list_messages(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        /// The entries right before this `seq`.
        before: Query<Option<u64>>,
        /// The entries right after this `seq`; 0 for the beginning.
        after: Query<Option<u64>>,
        /// 1–50 entries, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<EntryPage>, Problem<{ MEMBERS | codes(&[Code::InvalidInput]) }>> {
        let limit = page::limit(limit.0)?;
        let range = match (before.0, after.0) {
            (None, None) => Range::Latest,
            (Some(seq), None) => Range::Before(seq),
            (None, Some(seq)) => Range::After(seq),
            (Some(_), Some(_)) => return Err(page::invalid("after", "excludes_before").into()),
        };
        member(&cx, id.0, &caller).await?;
        let page = cx.rooms.read(id.0, range, limit as usize).await?;
        let entries = page.entries.iter().map(|raw| raw.parse().map(EntryItem::from)).collect::<Result<_, _>>()?;
        Ok(Json(EntryPage { items: entries, epoch: page.head.epoch, head: page.head.seq }))
    }

    /// Post a message
    ///
    /// Reaches everyone in the room as if it had been sent over a socket. Members only, until the meetup ends.
    #[oai(path = "/:id/messages", method = "post", operation_id = "post_message")]
    async fn post_message(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        input: Input<NewMessage>,
    ) -> Result<PostedResponse, Problem<{ MEMBERS | WITH_BODY | codes(&[Code::RoomReadOnly]) }>> {
        let mut fields = Fields::new();
        let text = fields.text("text", &input.0.text, cx.config.message_chars);
        let nonce = match &input.0.nonce {
            Some(nonce) => {
                // As it is, like that of a message over a socket: it would otherwise be another one.
                fields.check(!nonce.is_empty(), "nonce", "empty");
                fields.check(nonce.chars().count() <= NONCE_CHARS, "nonce", "too_long");
                nonce.clone()
            }
            None => cx.env.ids.next_id().to_string(),
        };
        fields.finish()?;
        writer(&cx, id.0, &caller).await?;
        let user = person(&cx, &caller).await?;
        let body = Body::Message { user, nonce: nonce.clone(), text: Some(text), edited_at: None, deleted_at: None };
        let Appended { position, at, duplicate } = append(&cx, id.0, &caller, Some(nonce), body).await?;
        let posted = Json(Posted { epoch: position.epoch, seq: position.seq, at, duplicate });
        Ok(if duplicate { PostedResponse::Duplicate(posted) } else { PostedResponse::Created(posted) })
    }

    /// The room's notice
    ///
    /// Members only.
    #[oai(path = "/:id/notice", method = "get", operation_id = "get_notice")]
    async fn get_notice(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<NoticeResponse, Problem<MEMBERS>> {
        member(&cx, id.0, &caller).await?;
        Ok(cx.rooms.notice(id.0).await?.map_or(NoticeResponse::None, |notice| NoticeResponse::Set(Json(notice))))
    }

    /// Set the room's notice
    ///
    /// Replaces the one before. The host only, until the meetup ends.
    #[oai(path = "/:id/notice", method = "put", operation_id = "set_notice")]
    async fn set_notice(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        input: Input<NewNotice>,
    ) -> Result<Json<Notice>, Problem<{ HOST | WITH_BODY }>> {
        let mut fields = Fields::new();
        let text = fields.text("text", &input.0.text, NOTICE_CHARS);
        fields.finish()?;
        host(&cx, id.0, &caller).await?;
        let user = person(&cx, &caller).await?;
        let body = Body::Notice { user: user.clone(), text: Some(text.clone()) };
        let appended = append(&cx, id.0, &caller, None, body).await?;
        Ok(Json(Notice { text, user, at: appended.at }))
    }

    /// Clear the room's notice
    ///
    /// The host only, until the meetup ends.
    #[oai(path = "/:id/notice", method = "delete", operation_id = "clear_notice")]
    async fn clear_notice(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Cleared, Problem<HOST>> {
        host(&cx, id.0, &caller).await?;
        if cx.rooms.notice(id.0).await?.is_some() {
            let body = Body::Notice { user: person(&cx, &caller).await?, text: None };
            append(&cx, id.0, &caller, None, body).await?;
        }
        Ok(Cleared::Done)
    }

    /// Who is in the room now
    ///
    /// On whatever gateway they are. Members only.
    #[oai(path = "/:id/presence", method = "get", operation_id = "get_presence")]
    async fn get_presence(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Json<RoomPresence>, Problem<MEMBERS>> {
        member(&cx, id.0, &caller).await?;
        Ok(Json(cx.rooms.presence(id.0, PRESENT).await?.into()))
    }
}

async fn member(cx: &Context, room: Uuid, caller: &Caller) -> Result<Membership, Failure> {
    match membership::standing(&cx.db, room, caller.0.user).await? {
        Standing::Member(membership) => Ok(membership),
        Standing::Outsider => Err(Code::NotAMember.into()),
        Standing::NoSuchMeetup => Err(Code::NotFound.into()),
    }
}

async fn writer(cx: &Context, room: Uuid, caller: &Caller) -> Result<Membership, Failure> {
    let membership = member(cx, room, caller).await?;
    if membership.may_write(cx.env.clock.now()) { Ok(membership) } else { Err(Code::RoomReadOnly.into()) }
}

async fn host(cx: &Context, room: Uuid, caller: &Caller) -> Result<(), Failure> {
    match member(cx, room, caller).await?.role {
        Role::Host => writer(cx, room, caller).await.map(drop),
        Role::Member => Err(Code::NotTheHost.into()),
    }
}

async fn person(cx: &Context, caller: &Caller) -> Result<Person, Failure> {
    let user = caller.account(cx).await?;
    Ok(Person { id: user.id, nickname: user.nickname })
}

async fn append(
    cx: &Context,
    room: Uuid,
    caller: &Caller,
    nonce: Option<String>,
    body: Body,
) -> Result<Appended, Failure> {
    let draft = Draft { author: caller.0.user, role: Role::Member, nonce, at: cx.env.clock.now(), body };
    Ok(cx.rooms.append(room, draft).await?)
}
