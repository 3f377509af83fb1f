//! The room log: an ordered, append-only log of entries for each meetup, and the live stream of what is appended.
//!
//! Everything that changes a room goes through [`RoomStore`], from both services, so that a message posted by REST and
//! one sent over a socket are the same append. Both backends pass one conformance suite (`common/tests/rooms.rs`).
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`bus`] | hands each appended entry to the subscribers of its room in this process |
//! | [`sql`] | tables, and the bus alone: one process |
//! | [`redis`] | lists and one script an append, pub/sub to the bus of every process |

pub mod bus;
pub mod redis;
pub mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::bus::{Signal, Subscription};
use crate::{
    db::DbError,
    time::Timestamp,
    wire::{Body, Entry, Notice, Position},
};

/// Who signs entries that no user wrote: the outbox.
pub const SYSTEM: Uuid = Uuid::nil();
/// Entries of one page, at most.
pub const MAX_PAGE: usize = 1000;
/// How long a nonce is remembered, at least.
pub const NONCE_WINDOW: std::time::Duration = std::time::Duration::from_secs(600);

/// What is to be appended.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whose nonce it is: a user, or [`SYSTEM`].
    pub author: Uuid,
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

/// An entry as it was encoded when it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Its number.
    pub seq: u64,
    /// The JSON text that clients receive: an [`Entry`].
    pub json: Arc<str>,
}

impl RawEntry {
    /// The entry, parsed.
    ///
    /// # Errors
    /// [`RoomError::Corrupt`] if the log holds something else.
    pub fn parse(&self) -> Result<Entry, RoomError> {
        serde_json::from_str(&self.json).map_err(|error| RoomError::Corrupt(error.to_string()))
    }
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The log's latest position when the page was read.
    pub head: Position,
    /// Ascending, without a gap.
    pub entries: Vec<RawEntry>,
}

/// What can go wrong with a room log.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The backend does not answer; whether an append took effect is unknown, and repeating it with its nonce is safe.
    #[error("the room log does not answer: {0}")]
    Unavailable(String),
    /// The backend holds something that is no entry.
    #[error("the room log is damaged: {0}")]
    Corrupt(String),
}

impl From<DbError> for RoomError {
    fn from(error: DbError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The log of every room.
#[async_trait]
pub trait RoomStore: Send + Sync + 'static {
    /// Appends an entry: order, comparison of nonces, storing and publishing in one atomic step. A room without a log
    /// gets one.
    async fn append(&self, room: Uuid, draft: Draft) -> Result<Appended, RoomError>;

    /// Reads at most `limit` (and at most [`MAX_PAGE`]) entries.
    async fn read(&self, room: Uuid, range: Range, limit: usize) -> Result<Page, RoomError>;

    /// The latest position.
    async fn head(&self, room: Uuid) -> Result<Position, RoomError>;

    /// The notice, if one is set.
    async fn notice(&self, room: Uuid) -> Result<Option<Notice>, RoomError>;

    /// The live stream of a room. When this returns, every entry appended from now on will be signalled.
    async fn subscribe(&self, room: Uuid) -> Result<Subscription, RoomError>;

    /// Whether the backend answers and its live stream is connected.
    async fn health(&self) -> Result<(), RoomError>;

    /// Ends background work and connections.
    async fn close(&self);
}

/// The text of an entry but its opening `{"seq":N,`, so that a backend can number it without parsing.
fn encode_tail(room: Uuid, draft: &Draft) -> Result<String, RoomError> {
    const OPENING: &str = r#"{"seq":0,"#;
    let entry = Entry { seq: 0, room, at: draft.at, body: draft.body.clone() };
    let json = serde_json::to_string(&entry).map_err(|error| RoomError::Corrupt(error.to_string()))?;
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
