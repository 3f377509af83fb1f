//! An export as its reader sees it.

use common::time::Timestamp;
use poem_openapi::{Object, types::Example};
use uuid::Uuid;

use crate::{
    day::Day, me::model::Profile, meetups::place::Place, monsters::model::Monster, routines::model::Routine,
    workouts::model::Workout,
};

/// Everything about a user.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Export {
    /// When the export was made.
    pub exported_at: Timestamp,
    /// The account.
    pub profile: Profile,
    /// Log-in sessions.
    pub sessions: Vec<ExportedSession>,
    /// Meetups hosted.
    pub hosted_meetups: Vec<ExportedMeetup>,
    /// Meetups joined, waited for, or been removed from.
    pub memberships: Vec<ExportedMembership>,
    /// Routines.
    pub routines: Vec<Routine>,
    /// Runs of routines.
    pub workouts: Vec<Workout>,
    /// What was awarded for which of those.
    pub awards: Vec<ExportedAward>,
    /// Monsters, growing and grown.
    pub monsters: Vec<Monster>,
    /// Experience that waits for the next monster; negative if more was taken back than there was.
    pub kept_experience: i64,
    /// Meetups liked.
    pub likes: Vec<ExportedLike>,
    /// Comments on meetups.
    pub comments: Vec<ExportedComment>,
    /// Up to where rooms were read.
    pub read_marks: Vec<ExportedReadMark>,
    /// Chat messages, in their present state.
    pub messages: Vec<ExportedMessage>,
}

impl Example for Export {
    fn example() -> Self {
        let profile = Profile::example();
        let at = profile.created_at;
        let id = Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10);
        let session = ExportedSession {
            id,
            device: "Mozilla/5.0".to_owned(),
            created_at: at,
            last_used_at: at,
            revoked_at: None,
        };
        let place = Place::example();
        let hosted = ExportedMeetup {
            id,
            title: "점심 스트레칭".to_owned(),
            description: "점심 먹고 서울숲에서 30분만 같이 움직여요.".to_owned(),
            image_url: None,
            place_name: place.name,
            road_address: place.road_address,
            lot_address: place.lot_address,
            latitude: place.latitude,
            longitude: place.longitude,
            sido: place.region.sido,
            sigungu: place.region.sigungu,
            region_code: place.region.code,
            kakao_place_id: place.kakao_place_id,
            kakao_place_url: place.kakao_place_url,
            starts_at: at,
            ends_at: at,
            capacity: Some(10),
            cancelled_at: None,
            created_at: at,
            updated_at: at,
        };
        let membership =
            ExportedMembership { meetup_id: id, title: hosted.title.clone(), state: "member".to_owned(), since: at };
        let message = ExportedMessage {
            room: id,
            seq: 1,
            notice: false,
            at,
            text: Some("안녕하세요".to_owned()),
            edited_at: None,
            deleted_at: None,
        };
        Self {
            exported_at: at,
            profile,
            sessions: vec![session],
            hosted_meetups: vec![hosted],
            memberships: vec![membership],
            routines: vec![Routine::example()],
            workouts: vec![Workout::example()],
            awards: vec![ExportedAward {
                workout_id: id,
                action: 1,
                day: Day::EXAMPLE,
                entitled: 100,
                amount: 100,
                at,
            }],
            monsters: vec![Monster::example()],
            kept_experience: 0,
            likes: vec![ExportedLike { meetup_id: id, title: "점심 스트레칭".to_owned(), at }],
            comments: vec![ExportedComment {
                id,
                meetup_id: id,
                text: "처음인데 가도 될까요?".to_owned(),
                created_at: at,
                updated_at: at,
            }],
            read_marks: vec![ExportedReadMark { room: id, seq: 1 }],
            messages: vec![message],
        }
    }
}

/// A log-in session.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct ExportedSession {
    /// Its id.
    pub id: Uuid,
    /// What the client said it is.
    pub device: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When its tokens were last refreshed.
    pub last_used_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

/// A meetup that the user hosts.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct ExportedMeetup {
    /// Its id.
    pub id: Uuid,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// Its image.
    pub image_url: Option<String>,
    /// Where it takes place.
    pub place_name: String,
    /// Road-name address.
    pub road_address: String,
    /// Lot-number address.
    pub lot_address: String,
    /// WGS 84, degrees north.
    pub latitude: f64,
    /// WGS 84, degrees east.
    pub longitude: f64,
    /// Province or city.
    pub sido: String,
    /// District.
    pub sigungu: String,
    /// Legal region code.
    pub region_code: String,
    /// Kakao's id of the place.
    pub kakao_place_id: Option<String>,
    /// Kakao's page of the place.
    pub kakao_place_url: Option<String>,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// How many may take part.
    pub capacity: Option<i64>,
    /// When it was called off.
    pub cancelled_at: Option<Timestamp>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A meetup that the user has to do with.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct ExportedMembership {
    /// The meetup.
    pub meetup_id: Uuid,
    /// Its title.
    pub title: String,
    /// `member`, `waiting` or `removed`.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
}

/// A meetup that the user likes.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct ExportedLike {
    /// The meetup.
    pub meetup_id: Uuid,
    /// Its title.
    pub title: String,
    /// Since when.
    pub at: Timestamp,
}

/// A comment of the user.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct ExportedComment {
    /// Its id.
    pub id: Uuid,
    /// The meetup it is on.
    pub meetup_id: Uuid,
    /// The text.
    pub text: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub updated_at: Timestamp,
}

/// Up to where the user has read.
#[derive(Debug, Object)]
pub struct ExportedReadMark {
    /// The room: its meetup's id.
    pub room: Uuid,
    /// The number of the latest entry read.
    pub seq: u64,
}

/// A chat message, or a notice, of the user.
#[derive(Debug, Object)]
pub struct ExportedMessage {
    /// The room: its meetup's id.
    pub room: Uuid,
    /// Its number in the room.
    pub seq: u64,
    /// Whether it is a notice.
    pub notice: bool,
    /// When it was accepted.
    pub at: Timestamp,
    /// The text; absent once deleted, and when it cleared the notice.
    pub text: Option<String>,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

/// An award of experience.
#[derive(Debug, Object, sqlx::FromRow)]
pub struct ExportedAward {
    /// The workout it was given for.
    pub workout_id: Uuid,
    /// The place, from 1, of the completed action in it; 0 for finishing it.
    pub action: i64,
    /// The user's day.
    pub day: Day,
    /// Experience before the day's cap.
    pub entitled: i64,
    /// Experience.
    pub amount: i64,
    /// When.
    pub at: Timestamp,
}
