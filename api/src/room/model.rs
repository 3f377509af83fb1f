//! OpenAPI schema of a room's entries: the same JSON as on the socket.

use common::{rooms::Presence, time::Timestamp};
use poem_openapi::{Enum, Object, types::Example};
use serde::Deserialize;
use uuid::Uuid;
use wire::{Body, Change, CloseReason, Entry, Person};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum EntryType {
    /// Someone said something; in its present state.
    Message,
    /// A message has a new text.
    Edited,
    /// A message is gone.
    Deleted,
    /// The notice was set or cleared.
    Notice,
    /// The meetup's members changed.
    Member,
    /// The room takes no more messages.
    Closed,
}

/// An entry of the room's log. Which of the optional members it has depends on `type`.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Entry", example, skip_serializing_if_is_none)]
pub struct EntryItem {
    /// 1, 2, 3 … without a gap.
    pub seq: u64,
    /// The room: its meetup's id.
    pub room: Uuid,
    /// When it was accepted.
    pub at: Timestamp,
    /// What it is.
    #[oai(rename = "type")]
    pub kind: EntryType,
    /// Who wrote it, or whom it is about (`member`).
    pub user: Option<Person>,
    /// The author's mark (`message`).
    pub nonce: Option<String>,
    /// The text (`message` unless deleted, `edited`, `notice` unless cleared).
    pub text: Option<String>,
    /// When it was last edited (`message`).
    pub edited_at: Option<Timestamp>,
    /// When it was deleted (`message`).
    pub deleted_at: Option<Timestamp>,
    /// The `seq` of the message (`edited`, `deleted`).
    pub target: Option<u64>,
    /// How the members changed (`member`).
    pub change: Option<Change>,
    /// Why (`closed`).
    pub reason: Option<CloseReason>,
}

impl From<Entry> for EntryItem {
    fn from(entry: Entry) -> Self {
        let Entry { seq, room, at, body } = entry;
        let of = |kind, user| Self {
            seq,
            room,
            at,
            kind,
            user,
            nonce: None,
            text: None,
            edited_at: None,
            deleted_at: None,
            target: None,
            change: None,
            reason: None,
        };
        match body {
            Body::Message { user, nonce, text, edited_at, deleted_at } => {
                Self { nonce: Some(nonce), text, edited_at, deleted_at, ..of(EntryType::Message, Some(user)) }
            }
            Body::Edited { user, target, text } => {
                Self { target: Some(target), text: Some(text), ..of(EntryType::Edited, Some(user)) }
            }
            Body::Deleted { user, target } => Self { target: Some(target), ..of(EntryType::Deleted, Some(user)) },
            Body::Notice { user, text } => Self { text, ..of(EntryType::Notice, Some(user)) },
            Body::Member { user, change } => Self { change: Some(change), ..of(EntryType::Member, Some(user)) },
            Body::Closed { reason } => Self { reason: Some(reason), ..of(EntryType::Closed, None) },
        }
    }
}

impl Example for EntryItem {
    fn example() -> Self {
        let user =
            Person { id: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a11), nickname: "밍기".to_owned() };
        let text = Some("안녕하세요".to_owned());
        let body = Body::Message { user, nonce: "n-1".to_owned(), text, edited_at: None, deleted_at: None };
        let room = Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10);
        Entry { seq: 121, room, at: Timestamp(1_780_000_000_000), body }.into()
    }
}

/// A piece of a room's log.
#[derive(Debug, Object)]
#[oai(example)]
pub struct EntryPage {
    /// In ascending order.
    pub items: Vec<EntryItem>,
    /// The log's epoch: positions of different epochs cannot be compared.
    pub epoch: Uuid,
    /// The number of the log's latest entry.
    pub head: u64,
}

impl Example for EntryPage {
    fn example() -> Self {
        Self {
            items: vec![EntryItem::example()],
            epoch: Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a12),
            head: 121,
        }
    }
}

/// What is to be said.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct NewMessage {
    /// 1–1,000 characters.
    pub text: String,
    /// The same, of 1–64 characters, for every attempt to send this message; without it each attempt is a message.
    pub nonce: Option<String>,
}

impl Example for NewMessage {
    fn example() -> Self {
        Self { text: "안녕하세요".to_owned(), nonce: Some("n-1".to_owned()) }
    }
}

/// Where a message is in the log.
#[derive(Debug, Object)]
#[oai(example)]
pub struct Posted {
    /// The log's epoch.
    pub epoch: Uuid,
    /// The message's number.
    pub seq: u64,
    /// When it was accepted.
    pub at: Timestamp,
    /// Whether the same nonce had been accepted before.
    pub duplicate: bool,
}

impl Example for Posted {
    fn example() -> Self {
        let page = EntryPage::example();
        Self { epoch: page.epoch, seq: page.head, at: Timestamp(1_780_000_000_000), duplicate: false }
    }
}

/// Who is in a room.
#[derive(Debug, Object)]
#[oai(example)]
pub struct RoomPresence {
    /// People, each counted once however many devices they are on.
    pub online: u64,
    /// Up to 200 of them, in no order.
    pub people: Vec<Person>,
}

impl From<Presence> for RoomPresence {
    fn from(presence: Presence) -> Self {
        Self { online: presence.online, people: presence.people }
    }
}

impl Example for RoomPresence {
    fn example() -> Self {
        Self { online: 1, people: EntryItem::example().user.into_iter().collect() }
    }
}

/// The notice to set.
#[derive(Debug, Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(example)]
pub struct NewNotice {
    /// 1–500 characters.
    pub text: String,
}

impl Example for NewNotice {
    fn example() -> Self {
        Self { text: "준비물: 수건".to_owned() }
    }
}
