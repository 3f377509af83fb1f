//! Rows of the tables `meetups` and `meetup_members` as SQL returns them.
//!
//! [`COLUMNS`] and [`FROM`] select a [`MeetupRow`]. `model.rs` turns rows into what clients see.

use common::{membership::MemberState, time::Timestamp};
use uuid::Uuid;

/// Columns of a [`MeetupRow`], without the distance.
pub const COLUMNS: &str = "m.id, m.host_id, u.nickname AS host_nickname, m.title, m.description, m.image_url, \
     m.place_name, m.road_address, m.lot_address, m.latitude, m.longitude, m.sido, m.sigungu, m.region_code, \
     m.kakao_place_id, m.kakao_place_url, m.starts_at, m.ends_at, m.capacity, m.member_count, m.waiting_count, \
     m.like_count, m.comment_count, m.created_at, m.updated_at, m.cancelled_at";
/// Source of [`COLUMNS`]: meetups `m` with their hosts `u`.
pub const FROM: &str = " FROM meetups m JOIN users u ON u.id = m.host_id";

/// A meetup's row with its host's nickname.
#[derive(Debug, sqlx::FromRow)]
pub struct MeetupRow {
    /// Its id.
    pub id: Uuid,
    pub(super) host_id: Uuid,
    pub(super) host_nickname: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) image_url: Option<String>,
    pub(super) place_name: String,
    pub(super) road_address: String,
    pub(super) lot_address: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) sido: String,
    pub(super) sigungu: String,
    pub(super) region_code: String,
    pub(super) kakao_place_id: Option<String>,
    pub(super) kakao_place_url: Option<String>,
    /// When it begins.
    pub starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) capacity: Option<i64>,
    pub(super) member_count: i64,
    pub(super) waiting_count: i64,
    /// How many like it.
    pub like_count: i64,
    pub(super) comment_count: i64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) cancelled_at: Option<Timestamp>,
    /// The square of its distance from where one searched, in metres.
    #[sqlx(default)]
    pub distance_squared: Option<f64>,
}

/// Someone's row in a meetup.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct MembershipRow {
    /// See [`MemberState`].
    pub state: String,
    /// Since when.
    pub since: Timestamp,
}

impl MembershipRow {
    /// Whether it says this.
    pub fn is(&self, state: MemberState) -> bool {
        self.state == state.as_str()
    }
}
