//! Meetups, members and memberships as clients see them.
//!
//! Made from the rows of `row.rs`. Places are in `place.rs`.

use common::{membership::MemberState, time::Timestamp};
use poem_openapi::{
    Enum, Object,
    types::{Example, MaybeUndefined},
};
use serde::Deserialize;
use uuid::Uuid;
use wire::{Person, Role};

use super::{
    place::{Place, Region},
    row::{MeetupRow, MembershipRow},
};

/// What a new meetup needs.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct NewMeetup {
    /// 1–30 characters.
    pub title: String,
    /// 1–500 characters.
    pub description: String,
    /// An `https` URL of at most 500 characters.
    pub image_url: Option<String>,
    /// Where it takes place.
    pub place: Place,
    /// In the future.
    pub starts_at: Timestamp,
    /// Not before `starts_at`, and at most 14 days after it.
    pub ends_at: Timestamp,
    /// 2–500 people, the host among them; absent: any number.
    pub capacity: Option<u32>,
}

impl Example for NewMeetup {
    fn example() -> Self {
        Self {
            title: "점심 스트레칭".to_owned(),
            description: "점심 먹고 서울숲에서 30분만 같이 움직여요.".to_owned(),
            image_url: None,
            place: Place::example(),
            starts_at: Timestamp(1_780_282_800_000),
            ends_at: Timestamp(1_780_286_400_000),
            capacity: Some(10),
        }
    }
}

/// What is to be different about a meetup; what is absent stays as it is.
#[derive(Clone, Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct MeetupChanges {
    /// 1–30 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    #[serde(default)]
    pub title: MaybeUndefined<String>,
    /// 1–500 characters.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    #[serde(default)]
    pub description: MaybeUndefined<String>,
    /// An `https` URL of at most 500 characters; null for none.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    #[serde(default)]
    pub image_url: MaybeUndefined<String>,
    /// Where it takes place.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    #[serde(default)]
    pub place: MaybeUndefined<Place>,
    /// In the future. One that has begun keeps its beginning.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    #[serde(default)]
    pub starts_at: MaybeUndefined<Timestamp>,
    /// In the future, not before `starts_at`, and at most 14 days after it.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    #[serde(default)]
    pub ends_at: MaybeUndefined<Timestamp>,
    /// 2–500 people, and not fewer than take part; null for any number.
    #[oai(skip_serializing_if = "MaybeUndefined::is_undefined")]
    #[serde(default)]
    pub capacity: MaybeUndefined<u32>,
}

impl Example for MeetupChanges {
    fn example() -> Self {
        Self {
            title: MaybeUndefined::Value("저녁 스트레칭".to_owned()),
            description: MaybeUndefined::Undefined,
            image_url: MaybeUndefined::Undefined,
            place: MaybeUndefined::Undefined,
            starts_at: MaybeUndefined::Undefined,
            ends_at: MaybeUndefined::Undefined,
            capacity: MaybeUndefined::Value(20),
        }
    }
}

/// Who is to be the host.
#[derive(Clone, Copy, Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct NewHost {
    /// A member of the meetup.
    pub user_id: Uuid,
}

impl Example for NewHost {
    fn example() -> Self {
        Self { user_id: Meetup::example().host.id }
    }
}

/// In which order meetups are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Sort {
    /// The one opened last first.
    #[default]
    Latest,
    /// The one that most like first.
    Likes,
    /// The one that begins first.
    Soonest,
    /// The nearest first; needs `lat`, `lng` and `radius`.
    Distance,
}

/// Where a meetup is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum State {
    /// Has not begun.
    Upcoming,
    /// Has begun and not ended.
    Ongoing,
    /// Is over.
    Ended,
    /// Was called off.
    Cancelled,
}

impl State {
    /// The state at `now` of a meetup with these times.
    pub fn at(now: Timestamp, starts_at: Timestamp, ends_at: Timestamp, cancelled_at: Option<Timestamp>) -> Self {
        match cancelled_at {
            Some(_) => Self::Cancelled,
            None if now < starts_at => Self::Upcoming,
            None if now < ends_at => Self::Ongoing,
            None => Self::Ended,
        }
    }
}

/// A meetup.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct Meetup {
    /// Its id, and its room's.
    pub id: Uuid,
    /// Who opened it or took it over.
    pub host: Person,
    /// 1–30 characters.
    pub title: String,
    /// 1–500 characters.
    pub description: String,
    /// An `https` URL.
    #[oai(skip_serializing_if_is_none)]
    pub image_url: Option<String>,
    /// Where it takes place.
    pub place: Place,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Where it is in its life.
    pub state: State,
    /// How many may take part; absent: any number.
    #[oai(skip_serializing_if_is_none)]
    pub capacity: Option<i64>,
    /// How many take part.
    pub member_count: i64,
    /// How many wait for a place.
    pub waiting_count: i64,
    /// How many like it.
    pub like_count: i64,
    /// How many comments it has.
    pub comment_count: i64,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Metres from where one searched; where a circle was asked for.
    #[oai(skip_serializing_if_is_none)]
    pub distance_m: Option<i64>,
    /// How the caller stands to it; where one meetup was asked for with an access token.
    #[oai(skip_serializing_if_is_none)]
    pub mine: Option<Mine>,
}

impl Example for Meetup {
    fn example() -> Self {
        let new = NewMeetup::example();
        Self {
            id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10),
            host: Person {
                id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a11),
                nickname: "밍기".to_owned(),
            },
            title: new.title,
            description: new.description,
            image_url: new.image_url,
            place: new.place,
            starts_at: new.starts_at,
            ends_at: new.ends_at,
            state: State::Upcoming,
            capacity: new.capacity.map(i64::from),
            member_count: 3,
            waiting_count: 0,
            like_count: 5,
            comment_count: 2,
            created_at: Timestamp(1_780_000_000_000),
            updated_at: Timestamp(1_780_000_000_000),
            distance_m: None,
            mine: None,
        }
    }
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
            state: State::at(now, self.starts_at, self.ends_at, self.cancelled_at),
            capacity: self.capacity,
            member_count: self.member_count,
            waiting_count: self.waiting_count,
            like_count: self.like_count,
            comment_count: self.comment_count,
            created_at: self.created_at,
            updated_at: self.updated_at,
            distance_m: self.distance_squared.map(distance),
            mine: None,
        }
    }
}

/// Whole metres of a squared distance.
#[expect(clippy::cast_possible_truncation, reason = "no two places are so far apart")]
fn distance(squared: f64) -> i64 {
    squared.max(0.0).sqrt().round() as i64
}

/// How the caller stands to a meetup.
#[derive(Clone, Copy, Debug, Object)]
#[oai(example)]
pub struct Mine {
    /// Their place in it; absent if they neither take part nor wait.
    #[oai(skip_serializing_if_is_none)]
    pub membership: Option<MyMembership>,
    /// Whether they like it.
    pub liked: bool,
}

impl Example for Mine {
    fn example() -> Self {
        Self { membership: Some(MyMembership::example()), liked: true }
    }
}

/// A member of a meetup.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct Member {
    /// Who.
    pub user: Person,
    /// Host or member.
    pub role: Role,
    /// When they joined.
    pub since: Timestamp,
}

impl Example for Member {
    fn example() -> Self {
        let meetup = Meetup::example();
        Self { user: meetup.host, role: Role::Host, since: meetup.created_at }
    }
}

/// How joining went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "Standing", rename_all = "snake_case")]
pub enum Admission {
    /// Takes part.
    Member,
    /// Waits: the meetup is full, and moves up by itself when someone leaves.
    Waiting,
}

/// The caller's place in a meetup.
#[derive(Clone, Copy, Debug, Object)]
#[oai(example)]
pub struct MyMembership {
    /// Taking part or waiting.
    pub state: Admission,
    /// Since when.
    pub since: Timestamp,
}

impl MyMembership {
    /// What a row says; `None` if its person was removed.
    pub fn of(row: &MembershipRow) -> Option<Self> {
        let state = if row.is(MemberState::Member) {
            Admission::Member
        } else if row.is(MemberState::Waiting) {
            Admission::Waiting
        } else {
            return None;
        };
        Some(Self { state, since: row.since })
    }
}

impl Example for MyMembership {
    fn example() -> Self {
        Self { state: Admission::Member, since: Timestamp(1_780_000_000_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_follows_the_clock() {
        let (start, end) = (Timestamp(10), Timestamp(20));
        for (now, cancelled, expected) in [
            (9, None, State::Upcoming),
            (10, None, State::Ongoing),
            (19, None, State::Ongoing),
            (20, None, State::Ended),
            (9, Some(Timestamp(5)), State::Cancelled),
            (30, Some(Timestamp(5)), State::Cancelled),
        ] {
            assert_eq!(State::at(Timestamp(now), start, end, cancelled), expected, "{now}");
        }
    }
}
