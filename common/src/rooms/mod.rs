//! The room log: an ordered, append-only log of entries for each meetup, and the live stream of what is appended.
//!
//! Everything that changes a room goes through [`RoomStore`], from both services, so that a message posted by REST and
//! one sent over a socket are the same append. Both backends pass one conformance suite (`common/tests/rooms/`).
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`amend`] | who may edit or delete which message, and what it becomes |
//! | [`entry`] | entries as the backends hold them: raw, with their kind |
//! | [`bus`] | hands each appended entry to the subscribers of its room in this process |
//! | [`merge`] | what a reader who combines pages and live entries delivers next |
//! | [`sql`] | tables, and the bus alone: one process |
//! | [`redis`] | lists and one script an append, pub/sub to the bus of every process |

pub mod amend;
mod archive;
pub mod bus;
pub mod entry;
pub mod merge;
pub mod redis;
mod seats;
pub mod sql;

use std::time::Duration;
use wire::{Body, Entry, Ephemeral, Notice, Person, Position, Role};

use async_trait::async_trait;
use uuid::Uuid;

pub use self::{
    amend::AppendError,
    bus::{SessionChange, SessionChanges, Signal, Subscription},
    entry::{EntryKind, RawEntry},
};
use crate::{db::DbError, time::Timestamp};

/// Who signs entries that no user wrote: the outbox.
pub const SYSTEM: Uuid = Uuid::nil();
/// Entries of one page, at most.
pub const MAX_PAGE: usize = 1000;
/// How long a nonce is remembered, at least, among the latest 256 of its author in the room.
pub const NONCE_WINDOW: Duration = Duration::from_secs(600);
/// When the people of a process that crashed are gone from [`RoomStore::presence`], at the latest.
pub const PRESENCE_TTL: Duration = Duration::from_secs(10);
/// When the connections of a process that crashed no longer count for [`RoomStore::admit`], at the latest.
pub const CONNECTION_TTL: Duration = Duration::from_secs(60);

/// What is to be appended.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whose nonce it is: a user, or [`SYSTEM`].
    pub author: Uuid,
    /// What the author may do: only the host deletes the messages of others.
    pub role: Role,
    /// The author's mark: an entry with the same one, within [`NONCE_WINDOW`], is the same entry. Without it nothing is compared.
    pub nonce: Option<String>,
    /// When it was accepted.
    pub at: Timestamp,
    /// What it says.
    pub body: Body,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the entry is.
    pub position: Position,
    /// When it was accepted; for a duplicate, the first time.
    pub at: Timestamp,
    /// Whether it had been appended before.
    pub duplicate: bool,
}

/// Which part of a log to read. The result is in ascending order whichever way it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// The latest entries.
    Latest,
    /// The first entries after a `seq`.
    After(u64),
    /// The last entries before a `seq`.
    Before(u64),
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The log's latest position when the page was read.
    pub head: Position,
    /// The notice, if one is set: when the head was read, so notices among `entries` may be newer.
    pub notice: Option<Notice>,
    /// Ascending, without a gap.
    pub entries: Vec<RawEntry>,
}

impl Page {
    /// The notice after the last entry.
    ///
    /// # Errors
    /// [`RoomError::Corrupt`] if the log holds something else.
    pub fn latest_notice(&self) -> Result<Option<Notice>, RoomError> {
        // `notice` is what the entries up to the head made it.
        let mut newer = self.entries.iter().rev().take_while(|entry| entry.seq > self.head.seq);
        let Some(newest) = newer.find(|entry| entry.kind() == EntryKind::Notice) else {
            return Ok(self.notice.clone());
        };
        let Entry { at, body, .. } = newest.parse()?;
        Ok(match body {
            Body::Notice { user, text } => text.map(|text| Notice { text, user, at }),
            _ => self.notice.clone(),
        })
    }
}

/// What can go wrong with a room log.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The backend does not answer or takes no writes now; whether an append took effect is unknown, and repeating it with
    /// its nonce is safe.
    #[error("the room log is not available: {0}")]
    Unavailable(String),
    /// The backend holds something that is no entry.
    #[error("the room log is damaged: {0}")]
    Corrupt(String),
    /// The log does not take the entry; repeating it will not change that.
    #[error(transparent)]
    Refused(#[from] AppendError),
}

impl RoomError {
    fn corrupt(what: impl std::fmt::Display) -> Self {
        Self::Corrupt(what.to_string())
    }
}

impl From<DbError> for RoomError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Contention(_) | DbError::Unavailable(_) => Self::Unavailable(error.to_string()),
            DbError::UniqueViolation(_) | DbError::Other(_) => Self::corrupt(error),
        }
    }
}

/// Whether a backend can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// All of it.
    Ok,
    /// Some rooms cannot be used, for this reason; the others can.
    Degraded(String),
    /// Nothing can be used, for this reason.
    Down(String),
}

/// Who is in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// People, each counted once however many connections they have.
    pub online: u64,
    /// Some of them, in no order.
    pub people: Vec<Person>,
}

/// The outcome of entering a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// People in the room, this one included.
    pub online: u64,
    /// Up to where this person has read; 0 if never.
    pub read_seq: u64,
}

/// The log of every room, who is there, and what is said in passing. Whatever is not answered within seconds is an error.
#[async_trait]
pub trait RoomStore: Send + Sync + 'static {
    /// Appends entries in their order: order, comparison of nonces, storing and publishing in one atomic step for each. A room
    /// without a log gets one. An edit or a deletion changes its target in the same step, so that pages show the present
    /// state.
    ///
    /// One outcome for each draft: one that is refused, because its target may not be changed so or the room is closed for
    /// good, does not keep the others.
    ///
    /// # Errors
    /// When it is not known what took effect.
    async fn append_all(&self, room: Uuid, drafts: Vec<Draft>)
    -> Result<Vec<Result<Appended, AppendError>>, RoomError>;

    /// Appends one entry, as [`RoomStore::append_all`] does.
    ///
    /// # Errors
    /// [`RoomError::Refused`] when it is refused.
    async fn append(&self, room: Uuid, draft: Draft) -> Result<Appended, RoomError> {
        match self.append_all(room, vec![draft]).await?.pop() {
            Some(outcome) => Ok(outcome?),
            None => Err(RoomError::corrupt("an append without an outcome")),
        }
    }

    /// Reads at most `limit` (and at most [`MAX_PAGE`]) entries.
    async fn read(&self, room: Uuid, range: Range, limit: usize) -> Result<Page, RoomError>;

    /// The latest position.
    async fn head(&self, room: Uuid) -> Result<Position, RoomError>;

    /// The notice, if one is set.
    async fn notice(&self, room: Uuid) -> Result<Option<Notice>, RoomError>;

    /// The live stream of a room. When this returns, every entry appended from now on will be signalled.
    async fn subscribe(&self, room: Uuid) -> Result<Subscription, RoomError>;

    /// Says that a connection of a person is in a room, until [`RoomStore::exit`] or the end of this process; everyone
    /// in the room hears of a person's first connection.
    async fn enter(&self, room: Uuid, person: &Person, connection: Uuid) -> Result<Entered, RoomError>;

    /// Says that a connection is no longer in a room; everyone in the room hears of a person's last connection. An
    /// error delays that by [`PRESENCE_TTL`].
    async fn exit(&self, room: Uuid, user: Uuid, connection: Uuid) -> Result<(), RoomError>;

    /// Who is in a room: at most `limit` of them (and at most [`MAX_PAGE`]).
    async fn presence(&self, room: Uuid, limit: usize) -> Result<Presence, RoomError>;

    /// Remembers that a person has read up to `seq`, and tells the room. The mark never moves back, nor beyond the head.
    /// Returns where it is.
    async fn mark_read(&self, room: Uuid, person: &Person, seq: u64) -> Result<u64, RoomError>;

    /// Up to where a person has read; 0 if never.
    async fn read_mark(&self, room: Uuid, user: Uuid) -> Result<u64, RoomError>;

    /// Publishes an ephemeral event to everyone in its room, once. It is not stored; delivery is best effort.
    async fn publish(&self, event: &Ephemeral) -> Result<(), RoomError>;

    /// Counts a connection of a user, unless there are `limit` of them already, in all processes together. `false`: it
    /// was refused. Counted until [`RoomStore::dismiss`] or, if this process crashes, [`CONNECTION_TTL`].
    async fn admit(&self, user: Uuid, connection: Uuid, limit: u32) -> Result<bool, RoomError>;

    /// Counts a connection no longer.
    async fn dismiss(&self, user: Uuid, connection: Uuid) -> Result<(), RoomError>;

    /// Tells every process that sessions of a user have ended, after that is committed.
    async fn sessions_changed(&self, user: Uuid) -> Result<(), RoomError>;

    /// Whose sessions have ended, in any process, from now on.
    fn session_changes(&self) -> SessionChanges;

    /// At most `limit` rooms after `after`, in the order of their ids, with entries from or about a person. None: there are
    /// no more.
    async fn rooms_of(&self, user: Uuid, after: Uuid, limit: usize) -> Result<Vec<Uuid>, RoomError>;

    /// Replaces a person by [`Person::withdrawn`] in every entry of every room, and forgets what they have read. May be
    /// repeated when it fails.
    async fn anonymise(&self, user: Uuid) -> Result<(), RoomError>;

    /// Closes a room for good: it can still be read, and takes no entry. May be repeated when it fails.
    async fn retire(&self, room: Uuid, now: Timestamp) -> Result<(), RoomError>;

    /// Whether the backend takes writes and its live stream is heard.
    async fn health(&self) -> Health;

    /// Ends background work and connections.
    async fn close(&self);
}

fn encode<T: serde::Serialize>(value: &T) -> Result<String, RoomError> {
    serde_json::to_string(value).map_err(RoomError::corrupt)
}

fn decode<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, RoomError> {
    serde_json::from_str(json).map_err(RoomError::corrupt)
}

/// The text of an entry but its opening `{"seq":N,`, so that a backend can number it without parsing.
fn encode_tail(room: Uuid, draft: &Draft) -> Result<String, RoomError> {
    const OPENING: &str = r#"{"seq":0,"#;
    let json = encode(&Entry { seq: 0, room, at: draft.at, body: draft.body.clone() })?;
    Ok(json[OPENING.len()..].to_owned())
}

/// The notice that results from an entry: `None` if it is about something else, `Some(None)` if it clears the notice.
fn notice_of(draft: &Draft) -> Option<Option<Notice>> {
    match &draft.body {
        Body::Notice { user, text } => {
            Some(text.as_ref().map(|text| Notice { text: text.clone(), user: user.clone(), at: draft.at }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_notice_is_the_pages_unless_an_entry_after_its_head_changed_it() {
        let (user, room) = (Person { id: Uuid::from_u128(7), nickname: "밍기".into() }, Uuid::nil());
        let notice = |text: &str| Notice { text: text.into(), user: user.clone(), at: Timestamp(5) };
        let raw = |seq, body| {
            let kind = EntryKind::from(&body);
            let json = encode(&Entry { seq, room, at: Timestamp(5), body }).expect("JSON");
            RawEntry::appended(seq, json, kind)
        };
        let set =
            |seq, text: Option<&str>| raw(seq, Body::Notice { user: user.clone(), text: text.map(str::to_owned) });
        let other = |seq| raw(seq, Body::Deleted { user: user.clone(), target: 1 });
        for (entries, expected) in [
            (vec![], Some("at the head")),
            (vec![set(1, Some("earlier")), other(2)], Some("at the head")),
            (vec![set(2, Some("earlier")), other(3)], Some("at the head")),
            (vec![other(2), set(3, Some("later")), other(4)], Some("later")),
            (vec![set(3, Some("later")), set(4, None)], None),
        ] {
            let head = Position { epoch: Uuid::nil(), seq: 2 };
            let page = Page { head, notice: Some(notice("at the head")), entries };
            assert_eq!(page.latest_notice().expect("a notice"), expected.map(notice), "{:?}", page.entries);
        }
    }
}
