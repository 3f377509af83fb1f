//! `/me/meetups`: the meetups that one has to do with.

use common::{
    db::{Db, DbError, sql},
    membership::MemberState,
};
use poem::web::Data;
use poem_openapi::{Enum, OpenApi, param::Query, payload::Json};
use uuid::Uuid;

use super::{
    model::Meetup,
    store::{COLUMNS, FROM, MeetupRow},
};
use crate::{
    caller::Caller,
    context::Context,
    page::{self, Page},
    problem::{Code, Problem, SECURED, codes},
    server::Tag,
};

/// The operations.
pub struct Endpoints;

/// What one has to do with a meetup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "MeetupRole", rename_all = "lowercase")]
pub enum Role {
    /// Hosts it.
    Hosted,
    /// Takes part in it, as its host too.
    Joined,
    /// Waits for a place.
    Waiting,
    /// Likes it.
    Liked,
    /// Wrote a comment on it.
    Commented,
}

/// The meetups of a user in a role opened before the one with id `before`, the latest first.
async fn list(db: &Db, user: Uuid, role: Role, before: Option<Uuid>, limit: u32) -> Result<Vec<MeetupRow>, DbError> {
    // The ids first, from an index that has them in this order.
    let (ids, state) = match role {
        Role::Hosted => ("SELECT id FROM meetups WHERE host_id = ?", None),
        Role::Joined => {
            ("SELECT meetup_id AS id FROM meetup_members WHERE user_id = ? AND state = ?", Some(MemberState::Member))
        }
        Role::Waiting => {
            ("SELECT meetup_id AS id FROM meetup_members WHERE user_id = ? AND state = ?", Some(MemberState::Waiting))
        }
        Role::Liked => ("SELECT meetup_id AS id FROM meetup_likes WHERE user_id = ?", None),
        Role::Commented => ("SELECT DISTINCT meetup_id AS id FROM comments WHERE user_id = ?", None),
    };
    let column = if role == Role::Hosted { "id" } else { "meetup_id" };
    let before_it = if before.is_some() { format!(" AND {column} < ?") } else { String::new() };
    let ids: Vec<(Uuid,)> = sql(format!("{ids}{before_it} ORDER BY {column} DESC LIMIT ?"))
        .bind(user)
        .bind_all(state.map(MemberState::as_str))
        .bind_all(before)
        .bind(limit)
        .all(db)
        .await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let select = sql(format!("SELECT {COLUMNS}{FROM} WHERE m.id IN ")).push_list(ids.into_iter().map(|(id,)| id));
    select.push(" ORDER BY m.id DESC").all(db).await
}

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
        role: Query<Role>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// 1–50 items, 20 if absent.
        limit: Query<Option<u32>>,
    ) -> Result<Json<Page<Meetup>>, Problem<{ SECURED | codes(&[Code::InvalidInput]) }>> {
        let limit = page::limit(limit.0)?;
        let before: Option<Uuid> = page::decode_cursor(cursor.0.as_deref())?;
        let rows = list(&cx.db, caller.0.user, role.0, before, limit + 1).await?;
        let now = cx.around.clock.now();
        let meetups: Vec<Meetup> = rows.into_iter().map(|row| row.into_meetup(now)).collect();
        Ok(Json(Page::new(meetups, limit, |meetup| meetup.id)))
    }
}
