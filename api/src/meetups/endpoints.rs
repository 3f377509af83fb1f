//! `/meetups`.

use common::{
    membership::MemberState,
    time::Timestamp,
    wire::{Person, Role},
};
use poem::web::Data;
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    members,
    model::{Meetup, Member, MyMembership, NewMeetup, Standing},
    rules,
    store::{self, MeetupError},
};
use crate::{
    caller::Caller,
    context::Context,
    input::{Fields, Input},
    page::{self, Page},
    problem::{Code, Failure, Problem, SECURED, WITH_BODY, codes},
    server::Tag,
};

/// The operations.
pub struct Endpoints;

/// A list's parameters can be wrong.
const LIST: u128 = codes(&[Code::InvalidInput]);

/// The meetup is open.
#[derive(ApiResponse)]
pub enum Opened {
    /// The meetup is open, with the caller as its host.
    #[oai(status = 201)]
    Created(Json<Meetup>),
}

/// Done; there is nothing to say.
#[derive(ApiResponse)]
pub enum Left {
    /// The caller is neither a member nor waiting any more.
    #[oai(status = 204)]
    Done,
}

impl From<MeetupError> for Failure {
    fn from(error: MeetupError) -> Self {
        match error {
            MeetupError::NotFound => Code::NotFound.into(),
            MeetupError::Over => Code::MeetupOver.into(),
            MeetupError::Removed => Code::RemovedFromMeetup.into(),
            MeetupError::HostCannotLeave => Code::HostCannotLeave.into(),
            MeetupError::Db(error) => error.into(),
        }
    }
}

#[OpenApi(prefix_path = "/meetups", tag = "Tag::Meetups")]
impl Endpoints {
    /// Open a meetup
    ///
    /// The caller becomes its host and first member. Its room opens with it.
    #[oai(path = "/", method = "post", operation_id = "open_meetup")]
    async fn open_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        input: Input<NewMeetup>,
    ) -> Result<Opened, Problem<{ SECURED | WITH_BODY }>> {
        let now = cx.around.clock.now();
        let mut fields = Fields::new();
        let new = rules::new_meetup(&mut fields, input.0, now);
        fields.finish()?;
        let id = store::create(&cx.db, &cx.around, caller.0.user, &new).await?;
        let row = store::find(&cx.db, id).await?.ok_or(Code::Internal)?;
        Ok(Opened::Created(Json(row.into_meetup(now))))
    }

    /// List meetups
    ///
    /// The latest first. Open to everyone.
    #[oai(path = "/", method = "get", operation_id = "list_meetups")]
    async fn list_meetups(
        &self,
        cx: Data<&Context>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Meetup>>, Problem<LIST>> {
        let limit = page::limit(limit.0)?;
        let before: Option<Uuid> = page::decode_cursor(cursor.0.as_deref())?;
        let now = cx.around.clock.now();
        let rows = store::latest(&cx.db, before, limit + 1).await?;
        let meetups: Vec<Meetup> = rows.into_iter().map(|row| row.into_meetup(now)).collect();
        Ok(Json(Page::new(meetups, limit, |meetup| meetup.id)))
    }

    /// One meetup
    ///
    /// Open to everyone.
    #[oai(path = "/:id", method = "get", operation_id = "get_meetup")]
    async fn get_meetup(
        &self,
        cx: Data<&Context>,
        /// The meetup.
        id: Path<Uuid>,
    ) -> Result<Json<Meetup>, Problem<{ codes(&[Code::NotFound]) }>> {
        let row = store::find(&cx.db, id.0).await?.ok_or(Code::NotFound)?;
        Ok(Json(row.into_meetup(cx.around.clock.now())))
    }

    /// Join a meetup
    ///
    /// Or its waiting list, when it is full. Joining twice is the same as once.
    #[oai(path = "/:id/membership", method = "put", operation_id = "join_meetup")]
    async fn join_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        id: Path<Uuid>,
    ) -> Result<
        Json<MyMembership>,
        Problem<{ SECURED | codes(&[Code::NotFound, Code::MeetupOver, Code::RemovedFromMeetup]) }>,
    > {
        let row = members::join(&cx.db, &cx.around, id.0, caller.0.user).await?;
        cx.relay.wake();
        let state = if row.is(MemberState::Member) { Standing::Member } else { Standing::Waiting };
        Ok(Json(MyMembership { state, since: row.since }))
    }

    /// Leave a meetup
    ///
    /// Or its waiting list. The one who waits longest moves up. Leaving twice is the same as once.
    #[oai(path = "/:id/membership", method = "delete", operation_id = "leave_meetup")]
    async fn leave_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        id: Path<Uuid>,
    ) -> Result<Left, Problem<{ SECURED | codes(&[Code::NotFound, Code::HostCannotLeave]) }>> {
        members::leave(&cx.db, &cx.around, id.0, caller.0.user).await?;
        cx.relay.wake();
        Ok(Left::Done)
    }

    /// List members
    ///
    /// In the order they joined. Open to everyone.
    #[oai(path = "/:id/members", method = "get", operation_id = "list_members")]
    async fn list_members(
        &self,
        cx: Data<&Context>,
        /// The meetup.
        id: Path<Uuid>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Member>>, Problem<{ LIST | codes(&[Code::NotFound]) }>> {
        let limit = page::limit(limit.0)?;
        let after: Option<(Timestamp, Uuid)> = page::decode_cursor(cursor.0.as_deref())?;
        let meetup = store::find(&cx.db, id.0).await?.ok_or(Code::NotFound)?.into_meetup(cx.around.clock.now());
        let rows = members::list(&cx.db, id.0, after, limit + 1).await?;
        let members: Vec<Member> = rows
            .into_iter()
            .map(|row| Member {
                role: if row.user_id == meetup.host.id { Role::Host } else { Role::Member },
                user: Person { id: row.user_id, nickname: row.nickname },
                since: row.since,
            })
            .collect();
        Ok(Json(Page::new(members, limit, |member| (member.since, member.user.id))))
    }
}
