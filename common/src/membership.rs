//! Who may do what in a meetup's room: one rule, asked by both services.

use uuid::Uuid;

use crate::{
    db::{Db, DbError, sql},
    time::Timestamp,
    wire::{Person, Role},
};

/// What a member may do in a room, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Host or member.
    pub role: Role,
    /// From when the room takes no more messages: when the meetup ends, or was cancelled.
    pub read_only_from: Timestamp,
}

impl Membership {
    /// Whether the room takes messages.
    pub fn may_write(&self, now: Timestamp) -> bool {
        now < self.read_only_from
    }
}

/// How a user stands to a meetup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no such meetup.
    NoSuchMeetup,
    /// Not a member: a stranger, waiting, or removed.
    Outsider,
    /// A member.
    Member(Membership),
}

/// The states of a row in `meetup_members`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Takes part.
    Member,
    /// Waits for a place.
    Waiting,
    /// Was removed by the host and cannot come back.
    Removed,
}

impl MemberState {
    /// As it stands in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Waiting => "waiting",
            Self::Removed => "removed",
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    host_id: Uuid,
    ends_at: Timestamp,
    cancelled_at: Option<Timestamp>,
    state: Option<String>,
}

/// How `user` stands to the meetup whose room is `room`.
///
/// # Errors
/// See [`DbError`].
pub async fn standing(db: &Db, room: Uuid, user: Uuid) -> Result<Standing, DbError> {
    let row: Option<Row> = sql("SELECT m.host_id, m.ends_at, m.cancelled_at, mm.state FROM meetups m \
         LEFT JOIN meetup_members mm ON mm.meetup_id = m.id AND mm.user_id = ? WHERE m.id = ?")
    .bind(user)
    .bind(room)
    .optional(db)
    .await?;
    Ok(match row {
        None => Standing::NoSuchMeetup,
        Some(row) if row.state.as_deref() == Some(MemberState::Member.as_str()) => Standing::Member(Membership {
            role: if row.host_id == user { Role::Host } else { Role::Member },
            read_only_from: row.cancelled_at.map_or(row.ends_at, |cancelled| cancelled.min(row.ends_at)),
        }),
        Some(_) => Standing::Outsider,
    })
}

/// The user of a session that may still be used: not logged out, not withdrawn.
///
/// # Errors
/// See [`DbError`].
pub async fn person_of_session(db: &Db, user: Uuid, session: Uuid) -> Result<Option<Person>, DbError> {
    let nickname: Option<String> = sql("SELECT u.nickname FROM users u JOIN sessions s ON s.user_id = u.id \
         WHERE u.id = ? AND s.id = ? AND s.revoked_at IS NULL AND u.withdrawn_at IS NULL")
    .bind(user)
    .bind(session)
    .scalar(db)
    .await?;
    Ok(nickname.map(|nickname| Person { id: user, nickname }))
}
