//! Lists of a user's meetups in SQL.

use common::{
    db::{Db, DbError, sql},
    membership::MemberState,
};
use uuid::Uuid;

use super::Involvement;
use crate::meetups::row::{COLUMNS, FROM, MeetupRow};

/// The meetups in which a user has this role, opened before the one with id `before`, the latest first.
///
/// # Errors
/// See [`DbError`].
pub async fn list(
    db: &Db,
    user: Uuid,
    role: Involvement,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<MeetupRow>, DbError> {
    // The page's ids first, from an index in this order; joining first would scan.
    let (ids, state) = match role {
        Involvement::Hosted => ("SELECT id FROM meetups WHERE host_id = ?", None),
        Involvement::Joined => {
            ("SELECT meetup_id AS id FROM meetup_members WHERE user_id = ? AND state = ?", Some(MemberState::Member))
        }
        Involvement::Waiting => {
            ("SELECT meetup_id AS id FROM meetup_members WHERE user_id = ? AND state = ?", Some(MemberState::Waiting))
        }
        Involvement::Liked => ("SELECT meetup_id AS id FROM meetup_likes WHERE user_id = ?", None),
        Involvement::Commented => ("SELECT DISTINCT meetup_id AS id FROM comments WHERE user_id = ?", None),
    };
    let column = if role == Involvement::Hosted { "id" } else { "meetup_id" };
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
