//! Meetups in SQL.

use common::{
    db::{Db, DbError, Executor, MaybeContention, Tx, Value, insert_rows, sql},
    ids::Env,
    membership::MemberState,
    time::Timestamp,
    transaction,
};
use uuid::Uuid;
use wire::Person;

use super::{
    grid,
    model::{Meetup, NewMeetup, Place, Region},
    rules, search,
};
use crate::{auth::store as accounts, problem::Failure};

/// Why a meetup cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum MeetupError {
    /// There is none with this id.
    #[error("no such meetup")]
    NotFound,
    /// It is over or was called off.
    #[error("the meetup is over")]
    Over,
    /// The host removed this person before.
    #[error("was removed from the meetup")]
    Removed,
    /// The host must hand over first.
    #[error("the host cannot leave")]
    HostCannotLeave,
    /// The account of whoever asks was withdrawn.
    #[error("no such account")]
    NoAccount,
    /// Only the host may.
    #[error("not the host")]
    NotTheHost,
    /// The one who is to be the host is no member.
    #[error("the new host is not a member")]
    HeirNotAMember,
    /// There are more members than the new capacity.
    #[error("more members than places")]
    TooManyMembers,
    /// It may not be like that.
    #[error("{0}")]
    Invalid(Box<Failure>),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl MaybeContention for MeetupError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}

/// A meetup's row with its host's nickname.
#[derive(Debug, sqlx::FromRow)]
pub struct MeetupRow {
    /// Its id.
    pub id: Uuid,
    host_id: Uuid,
    host_nickname: String,
    title: String,
    description: String,
    image_url: Option<String>,
    place_name: String,
    road_address: String,
    lot_address: String,
    latitude: f64,
    longitude: f64,
    sido: String,
    sigungu: String,
    region_code: String,
    kakao_place_id: Option<String>,
    kakao_place_url: Option<String>,
    /// When it begins.
    pub starts_at: Timestamp,
    ends_at: Timestamp,
    capacity: Option<i64>,
    member_count: i64,
    waiting_count: i64,
    /// How many like it.
    pub like_count: i64,
    comment_count: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    cancelled_at: Option<Timestamp>,
    /// The square of its distance from where one searched, in metres.
    #[sqlx(default)]
    pub distance_squared: Option<f64>,
}

impl MeetupRow {
    /// As clients see it at `now`.
    pub fn into_meetup(self, now: Timestamp) -> Meetup {
        Meetup {
            id: self.id,
            host: Person { id: self.host_id, nickname: self.host_nickname },
            title: self.title,
            description: self.description,
            image_url: self.image_url,
            place: Place {
                name: self.place_name,
                road_address: self.road_address,
                lot_address: self.lot_address,
                latitude: self.latitude,
                longitude: self.longitude,
                region: Region { sido: self.sido, sigungu: self.sigungu, code: self.region_code },
                kakao_place_id: self.kakao_place_id,
                kakao_place_url: self.kakao_place_url,
            },
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            state: rules::state(now, self.starts_at, self.ends_at, self.cancelled_at),
            capacity: self.capacity,
            member_count: self.member_count,
            waiting_count: self.waiting_count,
            like_count: self.like_count,
            comment_count: self.comment_count,
            created_at: self.created_at,
            updated_at: self.updated_at,
            distance_m: self.distance_squared.map(rules::distance),
            mine: None,
        }
    }
}

/// What is read of a meetup.
pub const COLUMNS: &str = "m.id, m.host_id, u.nickname AS host_nickname, m.title, m.description, m.image_url, \
     m.place_name, m.road_address, m.lot_address, m.latitude, m.longitude, m.sido, m.sigungu, m.region_code, \
     m.kakao_place_id, m.kakao_place_url, m.starts_at, m.ends_at, m.capacity, m.member_count, m.waiting_count, \
     m.like_count, m.comment_count, m.created_at, m.updated_at, m.cancelled_at";
/// Where from.
pub const FROM: &str = " FROM meetups m JOIN users u ON u.id = m.host_id";

/// Opens a meetup whose only member is its host. `new` has passed the rules.
///
/// # Errors
/// [`MeetupError::NoAccount`], or the database's.
pub async fn create(db: &Db, env: &Env, host: Uuid, new: &NewMeetup) -> Result<Uuid, MeetupError> {
    let (id, now) = (env.ids.next_id(), env.clock.now());
    transaction!(db, |tx| async {
        // A withdrawal calls off what its host has opened: none must be opened behind its back.
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

/// The row of a meetup opened at `now`, but its counts.
pub fn row(id: Uuid, host: Uuid, new: &NewMeetup, now: Timestamp) -> Vec<(&'static str, Value)> {
    let mut row = columns(new);
    row.extend([("id", id.into()), ("host_id", host.into()), ("created_at", now.into()), ("updated_at", now.into())]);
    row
}

/// The columns that the host decides about, and what follows from them.
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
        ("search_text", search::search_text(&new.title, &new.description, place).into()),
        ("cell", grid::cell(place.latitude, place.longitude).into()),
    ]
}

/// Makes the texts of a meetup findable.
///
/// # Errors
/// See [`DbError`].
pub async fn insert_terms(tx: &mut Tx, id: Uuid, new: &NewMeetup) -> Result<(), DbError> {
    insert_rows(tx, "meetup_terms", &["term", "meetup_id"], term_rows(id, new)).await
}

/// What finds the texts of a meetup: pairs of a term and its id.
pub fn term_rows(id: Uuid, new: &NewMeetup) -> Vec<Vec<Value>> {
    let terms = search::terms(&search::search_text(&new.title, &new.description, &new.place));
    terms.into_iter().map(|term| vec![term.into(), id.into()]).collect()
}

/// The meetup with an id.
///
/// # Errors
/// See [`DbError`].
pub async fn find(executor: impl Executor, id: Uuid) -> Result<Option<MeetupRow>, DbError> {
    sql(format!("SELECT {COLUMNS}{FROM} WHERE m.id = ?")).bind(id).optional(executor).await
}
