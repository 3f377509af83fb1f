//! Meetups in SQL: opening and reading one, and the columns that follow from what its host decides.

use common::{
    db::{Db, DbError, Executor, Tx, Value, insert_rows, sql},
    ids::Env,
    membership::MemberState,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;

use super::{
    error::MeetupError,
    grid,
    model::NewMeetup,
    row::{COLUMNS, FROM, MeetupRow},
    terms,
};
use crate::auth::store as accounts;

/// Opens a meetup whose only member is its host. `new` has passed the rules.
///
/// # Errors
/// [`MeetupError::NoAccount`], or the database's.
pub async fn create(db: &Db, env: &Env, host: Uuid, new: &NewMeetup) -> Result<Uuid, MeetupError> {
    let (id, now) = (env.ids.next_id(), env.clock.now());
    transaction!(db, |tx| async {
        // A withdrawal cancels the meetups that its account hosts: none may be opened meanwhile.
        accounts::lock_active_user(tx, host).await?.ok_or(MeetupError::NoAccount)?;
        let counts = [("member_count", 1), ("waiting_count", 0), ("like_count", 0), ("comment_count", 0)];
        let counts = counts.map(|(name, count)| (name, count.into()));
        let (names, values): (Vec<&str>, Vec<Value>) = row(id, host, new, now).into_iter().chain(counts).unzip();
        insert_rows(tx, "meetups", &names, vec![values]).await?;
        insert_terms(tx, id, new).await?;
        sql("INSERT INTO meetup_members (meetup_id, user_id, state, since) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(host)
            .bind(MemberState::Member.as_str())
            .bind(now)
            .run(&mut *tx)
            .await?;
        Ok(id)
    })
}

/// The row of a meetup opened at `now`, without its counts.
pub fn row(id: Uuid, host: Uuid, new: &NewMeetup, now: Timestamp) -> Vec<(&'static str, Value)> {
    let mut row = columns(new);
    row.extend([("id", id.into()), ("host_id", host.into()), ("created_at", now.into()), ("updated_at", now.into())]);
    row
}

/// The columns that the host decides, and those derived from them.
pub fn columns(new: &NewMeetup) -> Vec<(&'static str, Value)> {
    let place = &new.place;
    vec![
        ("title", (&new.title).into()),
        ("description", (&new.description).into()),
        ("image_url", new.image_url.as_deref().into()),
        ("place_name", (&place.name).into()),
        ("road_address", (&place.road_address).into()),
        ("lot_address", (&place.lot_address).into()),
        ("latitude", place.latitude.into()),
        ("longitude", place.longitude.into()),
        ("sido", (&place.region.sido).into()),
        ("sigungu", (&place.region.sigungu).into()),
        ("region_code", (&place.region.code).into()),
        ("kakao_place_id", place.kakao_place_id.as_deref().into()),
        ("kakao_place_url", place.kakao_place_url.as_deref().into()),
        ("starts_at", new.starts_at.into()),
        ("ends_at", new.ends_at.into()),
        ("capacity", new.capacity.into()),
        ("search_text", terms::search_text(&new.title, &new.description, place).into()),
        ("cell", grid::cell(place.latitude, place.longitude).into()),
    ]
}

/// Adds the texts of a meetup to the text index.
///
/// # Errors
/// See [`DbError`].
pub async fn insert_terms(tx: &mut Tx, id: Uuid, new: &NewMeetup) -> Result<(), DbError> {
    insert_rows(tx, "meetup_terms", &["term", "meetup_id"], term_rows(id, new)).await
}

/// Rows of the text index for a meetup: pairs of a term and its id.
pub fn term_rows(id: Uuid, new: &NewMeetup) -> Vec<Vec<Value>> {
    let text = terms::search_text(&new.title, &new.description, &new.place);
    terms::terms(&text).into_iter().map(|term| vec![term.into(), id.into()]).collect()
}

/// The meetup with an id.
///
/// # Errors
/// See [`DbError`].
pub async fn find(executor: impl Executor, id: Uuid) -> Result<Option<MeetupRow>, DbError> {
    sql(format!("SELECT {COLUMNS}{FROM} WHERE m.id = ?")).bind(id).optional(executor).await
}
