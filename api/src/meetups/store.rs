//! Meetups in SQL.

use common::{
    db::{Db, DbError, Executor, MaybeContention, sql},
    ids::Surroundings,
    membership::MemberState,
    time::Timestamp,
    transaction,
    wire::Person,
};
use uuid::Uuid;

use super::{
    model::{Meetup, NewMeetup, Place, Region},
    rules,
};

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
    id: Uuid,
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
    starts_at: Timestamp,
    ends_at: Timestamp,
    capacity: Option<i64>,
    member_count: i64,
    waiting_count: i64,
    like_count: i64,
    comment_count: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    cancelled_at: Option<Timestamp>,
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
        }
    }
}

const SELECT: &str = "SELECT m.id, m.host_id, u.nickname AS host_nickname, m.title, m.description, m.image_url, \
     m.place_name, m.road_address, m.lot_address, m.latitude, m.longitude, m.sido, m.sigungu, m.region_code, \
     m.kakao_place_id, m.kakao_place_url, m.starts_at, m.ends_at, m.capacity, m.member_count, m.waiting_count, \
     m.like_count, m.comment_count, m.created_at, m.updated_at, m.cancelled_at \
     FROM meetups m JOIN users u ON u.id = m.host_id";

/// Opens a meetup whose only member is its host. `new` has passed the rules.
///
/// # Errors
/// See [`DbError`].
pub async fn create(db: &Db, around: &Surroundings, host: Uuid, new: &NewMeetup) -> Result<Uuid, DbError> {
    let (id, now) = (around.ids.next_id(), around.clock.now());
    transaction!(db, |tx| async {
        insert(&mut *tx, id, host, new, now).await?;
        sql("INSERT INTO meetup_members (meetup_id, user_id, state, since) VALUES (?, ?, ?, ?)")
            .bind(id)
            .bind(host)
            .bind(MemberState::Member.as_str())
            .bind(now)
            .run(&mut *tx)
            .await?;
        Ok::<_, DbError>(id)
    })
}

async fn insert(executor: impl Executor, id: Uuid, host: Uuid, new: &NewMeetup, now: Timestamp) -> Result<(), DbError> {
    let place = &new.place;
    sql("INSERT INTO meetups (id, host_id, title, description, image_url, place_name, road_address, lot_address, \
         latitude, longitude, sido, sigungu, region_code, kakao_place_id, kakao_place_url, starts_at, ends_at, capacity, \
         member_count, waiting_count, like_count, comment_count, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, ?, ?)")
    .bind(id)
    .bind(host)
    .bind(&new.title)
    .bind(&new.description)
    .bind(new.image_url.as_deref())
    .bind(&place.name)
    .bind(&place.road_address)
    .bind(&place.lot_address)
    .bind(place.latitude)
    .bind(place.longitude)
    .bind(&place.region.sido)
    .bind(&place.region.sigungu)
    .bind(&place.region.code)
    .bind(place.kakao_place_id.as_deref())
    .bind(place.kakao_place_url.as_deref())
    .bind(new.starts_at)
    .bind(new.ends_at)
    .bind(new.capacity)
    .bind(now)
    .bind(now)
    .run(executor)
    .await?;
    Ok(())
}

/// The meetup with an id.
///
/// # Errors
/// See [`DbError`].
pub async fn find(executor: impl Executor, id: Uuid) -> Result<Option<MeetupRow>, DbError> {
    sql(format!("{SELECT} WHERE m.id = ?")).bind(id).optional(executor).await
}

/// The latest meetups that were not called off, at most `limit`, opened before the one with the id `before`.
///
/// # Errors
/// See [`DbError`].
pub async fn latest(executor: impl Executor, before: Option<Uuid>, limit: u32) -> Result<Vec<MeetupRow>, DbError> {
    let condition = if before.is_some() { "AND m.id < ?" } else { "" };
    sql(format!("{SELECT} WHERE m.cancelled_at IS NULL {condition} ORDER BY m.id DESC LIMIT ?"))
        .bind_all(before)
        .bind(limit)
        .all(executor)
        .await
}
