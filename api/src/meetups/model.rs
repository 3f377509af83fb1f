//! Meetups as clients see them.

use common::{membership::MemberState, time::Timestamp};
use poem_openapi::{
    Enum, Object,
    types::{Example, MaybeUndefined},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::{Person, Role};

use super::members::MembershipRow;

/// Where a meetup takes place.
#[derive(Clone, Debug, Object, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct Place {
    /// 1–100 characters.
    pub name: String,
    /// Road-name address (도로명), at most 100 characters.
    pub road_address: String,
    /// Lot-number address (지번), at most 100 characters.
    pub lot_address: String,
    /// WGS 84, degrees north.
    pub latitude: f64,
    /// WGS 84, degrees east.
    pub longitude: f64,
    /// The legal region.
    pub region: Region,
    /// Kakao's id of the place.
    #[oai(skip_serializing_if_is_none)]
    pub kakao_place_id: Option<String>,
    /// Kakao's page of the place.
    #[oai(skip_serializing_if_is_none)]
    pub kakao_place_url: Option<String>,
}

impl Example for Place {
    fn example() -> Self {
        Self {
            name: "서울숲".to_owned(),
            road_address: "서울 성동구 뚝섬로 273".to_owned(),
            lot_address: "서울 성동구 성수동1가 678-1".to_owned(),
            latitude: 37.5444,
            longitude: 127.0374,
            region: Region::example(),
            kakao_place_id: Some("8131890".to_owned()),
            kakao_place_url: Some("https://place.map.kakao.com/8131890".to_owned()),
        }
    }
}

/// A legal region (법정동).
#[derive(Clone, Debug, Object, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct Region {
    /// Province or metropolitan city (시도).
    pub sido: String,
    /// City, county or district (시군구).
    pub sigungu: String,
    /// The 10 digits of the legal region code; shorter levels end in zeros.
    pub code: String,
}

impl Example for Region {
    fn example() -> Self {
        Self { sido: "서울특별시".to_owned(), sigungu: "성동구".to_owned(), code: "1120011400".to_owned() }
    }
}

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
