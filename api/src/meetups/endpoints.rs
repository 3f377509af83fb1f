//! `/meetups`.

use common::{
    db::{Db, DbError},
    time::Timestamp,
};
use poem::{Request, web::Data};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;
use wire::{Person, Role};

use super::{
    error::MeetupError,
    grid::Circle,
    host, members,
    model::{Meetup, MeetupChanges, Member, Mine, MyMembership, NewHost, NewMeetup, Sort, State},
    row::MeetupRow,
    rules,
    search::{self, Position, Search},
    store, terms,
};
use crate::{
    caller::{Caller, Visitor},
    context::Context,
    input::{Fields, Input},
    likes::store as likes,
    no_content::no_content,
    page::{self, Page},
    problem::{Code, Failure, Problem, SECURED, WITH_BODY, codes},
    tags::Tag,
};

/// The operations.
pub struct Endpoints;

/// A list's parameters can be wrong.
const LIST: u128 = codes(&[Code::InvalidInput]);
/// What only the host may do can answer these.
const HOST: u128 = SECURED | codes(&[Code::NotFound, Code::NotTheHost]);
/// Characters of a search, at most.
const SEARCH_CHARS: usize = 50;
/// Metres around a point, at most.
const MAX_RADIUS: f64 = 30_000.0;

/// The meetup is open.
#[derive(ApiResponse)]
pub enum Opened {
    /// The meetup is open, with the caller as its host.
    #[oai(status = 201)]
    Created(Json<Meetup>),
}

no_content!(Done, " Done.");

no_content!(Left, " The caller is neither a member nor waiting any more.");

impl From<MeetupError> for Failure {
    fn from(error: MeetupError) -> Self {
        match error {
            MeetupError::NotFound => Code::NotFound.into(),
            MeetupError::Over => Code::MeetupOver.into(),
            MeetupError::Removed => Code::RemovedFromMeetup.into(),
            MeetupError::HostCannotLeave => Code::HostCannotLeave.into(),
            MeetupError::NoAccount => Code::Unauthenticated.into(),
            MeetupError::NotTheHost => Code::NotTheHost.into(),
            MeetupError::HeirNotAMember => Code::HostMustBeMember.into(),
            MeetupError::TooManyMembers => Code::CapacityBelowMembers.into(),
            MeetupError::Invalid(failure) => *failure,
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
        let now = cx.env.clock.now();
        let mut fields = Fields::new();
        let new = rules::validate_new(&mut fields, input.0, now);
        fields.finish()?;
        let id = store::create(&cx.db, &cx.env, caller.0.user, &new).await?;
        let row = store::find(&cx.db, id).await?.ok_or(Code::Internal)?;
        Ok(Opened::Created(Json(row.into_meetup(now))))
    }

    /// List meetups
    ///
    /// Open to everyone. Those that were called off are listed only when asked for.
    #[oai(path = "/", method = "get", operation_id = "list_meetups")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the query")]
    async fn list_meetups(
        &self,
        cx: Data<&Context>,
        /// Words, of letters and digits, that the title, the description, the place or the region has; at most 50 characters.
        q: Query<Option<String>>,
        /// The first 1–10 digits of a legal region code: `11` or `1100000000` is Seoul, `11200` Seongdong-gu.
        region: Query<Option<String>>,
        /// WGS 84, degrees north; with `lng` and `radius`.
        lat: Query<Option<f64>>,
        /// WGS 84, degrees east.
        lng: Query<Option<f64>>,
        /// Metres around that point, 1–30,000.
        radius: Query<Option<f64>>,
        /// Where they are in their life.
        state: Query<Option<State>>,
        /// Those that begin at this time or later.
        from: Query<Option<Timestamp>>,
        /// Those that begin before this time.
        to: Query<Option<Timestamp>>,
        /// In which order; `latest` if absent. Without a `state`, `soonest` leaves out what has ended.
        sort: Query<Option<Sort>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Meetup>>, Problem<LIST>> {
        let limit = page::limit(limit.0)?;
        let mut fields = Fields::new();
        let text = q.0.filter(|q| !q.trim().is_empty()).map(|q| fields.text("q", &q, SEARCH_CHARS));
        fields.check(text.as_deref().is_none_or(terms::has_words), "q", "malformed");
        let circle = circle(&mut fields, lat.0, lng.0, radius.0);
        let digits = |code: &String| (1..=10).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
        fields.check(region.0.as_ref().is_none_or(digits), "region", "malformed");
        let sort = sort.0.unwrap_or_default();
        fields.check(sort != Sort::Distance || circle.is_some(), "sort", "needs_radius");
        fields.finish()?;
        let search = Search { text, region: region.0, circle, state: state.0, from: from.0, to: to.0, sort };
        let after: Option<Position> = page::decode_cursor(cursor.0.as_deref())?;
        if after.is_some_and(|after| after.sort() != sort) {
            return Err(page::invalid("cursor", "malformed").into());
        }
        let now = cx.env.clock.now();
        let rows = search::page(&cx.db, &search, after, now, limit as usize + 1).await?;
        let found: Vec<Found> = rows.into_iter().map(|row| Found { at: Position::of(&row, sort), row, now }).collect();
        Ok(Json(Page::new(found, limit, |found| found.at)))
    }

    /// One meetup
    ///
    /// Open to everyone. With an access token it also says how the caller stands to it.
    #[oai(path = "/:id", method = "get", operation_id = "get_meetup")]
    async fn get_meetup(
        &self,
        cx: Data<&Context>,
        request: &Request,
        visitor: Visitor,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Json<Meetup>, Problem<{ SECURED | codes(&[Code::NotFound]) }>> {
        let user = visitor.user(request, &cx.tokens)?;
        let row = store::find(&cx.db, id.0).await?.ok_or(Code::NotFound)?;
        let mine = match user {
            Some(user) => Some(mine(&cx.db, id.0, user).await?),
            None => None,
        };
        Ok(Json(Meetup { mine, ..row.into_meetup(cx.env.clock.now()) }))
    }

    /// Change a meetup
    ///
    /// The host only, until it is over. With more places, those who wait longest move up.
    #[oai(path = "/:id", method = "patch", operation_id = "change_meetup")]
    async fn change_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        input: Input<MeetupChanges>,
    ) -> Result<Json<Meetup>, Problem<{ HOST | WITH_BODY | codes(&[Code::MeetupOver, Code::CapacityBelowMembers]) }>>
    {
        let row = host::change(&cx, id.0, caller.0.user, &input.0).await?;
        Ok(Json(row.into_meetup(cx.env.clock.now())))
    }

    /// Call a meetup off
    ///
    /// The host only, until it has ended. Its members are told, and its room is read-only from then on. Calling it off twice
    /// is the same as once.
    #[oai(path = "/:id", method = "delete", operation_id = "cancel_meetup")]
    async fn cancel_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Done, Problem<{ HOST | codes(&[Code::MeetupOver]) }>> {
        host::cancel(&cx, id.0, caller.0.user).await?;
        Ok(Done::Done)
    }

    /// Hand a meetup over
    ///
    /// The host only, to a member, until it is over.
    #[oai(path = "/:id/host", method = "put", operation_id = "hand_over_meetup")]
    async fn hand_over_meetup(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        input: Input<NewHost>,
    ) -> Result<Json<Meetup>, Problem<{ HOST | WITH_BODY | codes(&[Code::MeetupOver, Code::HostMustBeMember]) }>> {
        let row = host::hand_over(&cx, id.0, caller.0.user, input.0.user_id).await?;
        Ok(Json(row.into_meetup(cx.env.clock.now())))
    }

    /// Remove someone from a meetup
    ///
    /// The host only. They cannot come back, and the one who waits longest moves up. Removing them twice is the same as once.
    #[oai(path = "/:id/members/:user_id", method = "delete", operation_id = "remove_member")]
    async fn remove_member(
        &self,
        cx: Data<&Context>,
        caller: Caller,
        /// The meetup.
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        /// Who is to go.
        #[oai(example = "crate::examples::user_id")]
        user_id: Path<Uuid>,
    ) -> Result<Done, Problem<{ HOST | codes(&[Code::HostCannotLeave]) }>> {
        host::remove(&cx, id.0, caller.0.user, user_id.0).await?;
        Ok(Done::Done)
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
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<
        Json<MyMembership>,
        Problem<{ SECURED | codes(&[Code::NotFound, Code::MeetupOver, Code::RemovedFromMeetup]) }>,
    > {
        let row = members::join(&cx, id.0, caller.0.user).await?;
        Ok(Json(MyMembership::of(&row).ok_or(Code::RemovedFromMeetup)?))
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
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
    ) -> Result<Left, Problem<{ SECURED | codes(&[Code::NotFound, Code::HostCannotLeave]) }>> {
        members::leave(&cx, id.0, caller.0.user).await?;
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
        #[oai(example = "crate::examples::id")]
        id: Path<Uuid>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        #[oai(example = "crate::examples::limit")]
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Member>>, Problem<{ LIST | codes(&[Code::NotFound]) }>> {
        let limit = page::limit(limit.0)?;
        let after: Option<(Timestamp, Uuid)> = page::decode_cursor(cursor.0.as_deref())?;
        let meetup = store::find(&cx.db, id.0).await?.ok_or(Code::NotFound)?.into_meetup(cx.env.clock.now());
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

/// How a user stands to a meetup.
async fn mine(db: &Db, meetup: Uuid, user: Uuid) -> Result<Mine, DbError> {
    let (row, liked) = tokio::try_join!(members::find(db, meetup, user), likes::find(db, meetup, user))?;
    Ok(Mine { membership: row.as_ref().and_then(MyMembership::of), liked })
}

/// A meetup with its place in the list.
struct Found {
    at: Position,
    row: MeetupRow,
    now: Timestamp,
}

impl From<Found> for Meetup {
    fn from(found: Found) -> Self {
        found.row.into_meetup(found.now)
    }
}

/// The circle that is asked for; all three or none.
fn circle(fields: &mut Fields, lat: Option<f64>, lng: Option<f64>, radius: Option<f64>) -> Option<Circle> {
    if lat.is_none() && lng.is_none() && radius.is_none() {
        return None;
    }
    for (field, given) in [("lat", lat), ("lng", lng), ("radius", radius)] {
        fields.check(given.is_some(), field, "missing");
    }
    let (latitude, longitude, radius) = (lat?, lng?, radius?);
    fields.latitude("lat", latitude);
    fields.longitude("lng", longitude);
    fields.check((1.0..=MAX_RADIUS).contains(&radius), "radius", "out_of_range");
    Some(Circle { latitude, longitude, radius, hole: 0.0 })
}
