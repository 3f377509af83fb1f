//! Membership: who may do what in a meetup's room, and until when. One query and one rule for both services.

use std::collections::HashMap;

use uuid::Uuid;
use wire::{Person, Role};

use crate::{
    db::{Db, DbError, padded, sql},
    time::Timestamp,
};

/// What a member may do in a room, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Host or member.
    pub role: Role,
    /// Time from which the room takes no messages: the end or the cancellation of the meetup.
    pub read_only_from: Timestamp,
}

impl Membership {
    /// Whether the room takes messages.
    pub fn may_write(&self, now: Timestamp) -> bool {
        now < self.read_only_from
    }
}

/// A user's relation to a meetup.
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
    /// Member.
    Member,
    /// On the waiting list.
    Waiting,
    /// Removed by the host; cannot join again.
    Removed,
}

impl MemberState {
    /// The state as stored in SQL.
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
    meetup_id: Uuid,
    user_id: Uuid,
    host_id: Uuid,
    ends_at: Timestamp,
    cancelled_at: Option<Timestamp>,
    state: Option<String>,
}

impl Row {
    fn standing(&self) -> Standing {
        if self.state.as_deref() != Some(MemberState::Member.as_str()) {
            return Standing::Outsider;
        }
        Standing::Member(Membership {
            role: if self.host_id == self.user_id { Role::Host } else { Role::Member },
            read_only_from: self.cancelled_at.map_or(self.ends_at, |cancelled| cancelled.min(self.ends_at)),
        })
    }
}

/// Standings of pairs (meetup, user), in their order. For a withdrawn user every standing is [`Standing::NoSuchMeetup`].
///
/// # Errors
/// See [`DbError`].
pub async fn standings(db: &Db, asked: &[(Uuid, Uuid)]) -> Result<Vec<Standing>, DbError> {
    const ONE: &str = "SELECT m.id AS meetup_id, u.id AS user_id, m.host_id, m.ends_at, m.cancelled_at, mm.state \
         FROM meetups m JOIN users u ON u.id = ? AND u.withdrawn_at IS NULL \
         LEFT JOIN meetup_members mm ON mm.meetup_id = m.id AND mm.user_id = u.id WHERE m.id = ?";
    // Each part finds its rows by their keys; one join for all would read every member of every meetup.
    let rows: Vec<Row> = sql(vec![ONE; padded(asked).count()].join(" UNION ALL "))
        .bind_all(padded(asked).flat_map(|(meetup, user)| [*user, *meetup]))
        .all(db)
        .await?;
    let rows: HashMap<(Uuid, Uuid), Standing> =
        rows.into_iter().map(|row| ((row.meetup_id, row.user_id), row.standing())).collect();
    Ok(asked.iter().map(|pair| rows.get(pair).copied().unwrap_or(Standing::NoSuchMeetup)).collect())
}

/// Standing of one user.
///
/// # Errors
/// See [`DbError`].
pub async fn standing(db: &Db, room: Uuid, user: Uuid) -> Result<Standing, DbError> {
    Ok(standings(db, &[(room, user)]).await?.pop().unwrap_or(Standing::NoSuchMeetup))
}

/// Users of pairs (user, session), in their order; `None` if the session is not the user's, was revoked, or the user has withdrawn.
///
/// # Errors
/// See [`DbError`].
pub async fn people_of_sessions(db: &Db, asked: &[(Uuid, Uuid)]) -> Result<Vec<Option<Person>>, DbError> {
    let found: Vec<(Uuid, Uuid, String)> = sql("SELECT s.id, u.id, u.nickname FROM sessions s \
         JOIN users u ON u.id = s.user_id WHERE s.revoked_at IS NULL AND u.withdrawn_at IS NULL AND s.id IN ")
    .push_list(asked.iter().map(|(_, session)| *session))
    .all(db)
    .await?;
    let found: HashMap<Uuid, Person> =
        found.into_iter().map(|(session, id, nickname)| (session, Person { id, nickname })).collect();
    let person = |(user, session): &(Uuid, Uuid)| found.get(session).filter(|person| person.id == *user).cloned();
    Ok(asked.iter().map(person).collect())
}
