//! Log entries as the backends hold them: the JSON text that clients receive, encoded once when the entry is appended, and the
//! entry's kind, parsed at most once.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use uuid::Uuid;
use wire::{Body, Change, Entry};

use super::{RoomError, decode};

/// The kind of an entry, with the fields by which it changes who may do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A message.
    Message,
    /// An edit of a message.
    Edited,
    /// A deletion of a message.
    Deleted,
    /// The notice was set or cleared.
    Notice,
    /// The meetup's members changed.
    Member {
        /// Whom it is about.
        user: Uuid,
        /// How they changed.
        change: Change,
    },
    /// The room takes no more messages.
    Closed,
    /// A kind that this version does not know: it is stored and delivered as it is.
    Unknown,
}

impl From<&Body> for EntryKind {
    fn from(body: &Body) -> Self {
        match body {
            Body::Message { .. } => Self::Message,
            Body::Edited { .. } => Self::Edited,
            Body::Deleted { .. } => Self::Deleted,
            Body::Notice { .. } => Self::Notice,
            Body::Member { user, change } => Self::Member { user: user.id, change: *change },
            Body::Closed { .. } => Self::Closed,
        }
    }
}

/// The fields of an entry's JSON that its kind is made of. Everything else is skipped without being copied.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "type")]
    tag: Tag,
    user: Option<UserId>,
    change: Option<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Tag {
    Message,
    Edited,
    Deleted,
    Notice,
    Member,
    Closed,
}

#[derive(Deserialize)]
struct UserId {
    id: Uuid,
}

impl EntryKind {
    fn parse(json: &str) -> Self {
        let Ok(Header { tag, user, change }) = serde_json::from_str(json) else { return Self::Unknown };
        match (tag, user, change) {
            (Tag::Message, ..) => Self::Message,
            (Tag::Edited, ..) => Self::Edited,
            (Tag::Deleted, ..) => Self::Deleted,
            (Tag::Notice, ..) => Self::Notice,
            (Tag::Member, Some(user), Some(change)) => Self::Member { user: user.id, change },
            (Tag::Member, ..) => Self::Unknown,
            (Tag::Closed, ..) => Self::Closed,
        }
    }
}

/// An entry as it was encoded when it was appended. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RawEntry {
    /// Its number.
    pub seq: u64,
    /// The JSON text that clients receive: an [`Entry`].
    pub json: Arc<str>,
    kind: OnceLock<EntryKind>,
}

impl PartialEq for RawEntry {
    fn eq(&self, other: &Self) -> bool {
        // The kind follows from the text.
        (self.seq, &self.json) == (other.seq, &other.json)
    }
}

impl Eq for RawEntry {}

impl RawEntry {
    /// An entry read from a backend. Its kind is parsed when it is first asked for.
    pub fn new(seq: u64, json: impl Into<Arc<str>>) -> Self {
        Self { seq, json: json.into(), kind: OnceLock::new() }
    }

    /// An entry that was just encoded.
    pub fn appended(seq: u64, json: impl Into<Arc<str>>, kind: EntryKind) -> Self {
        Self { seq, json: json.into(), kind: OnceLock::from(kind) }
    }

    /// Its kind.
    pub fn kind(&self) -> EntryKind {
        *self.kind.get_or_init(|| EntryKind::parse(&self.json))
    }

    /// The entry, parsed.
    ///
    /// # Errors
    /// [`RoomError::Corrupt`] if the log holds something else.
    pub fn parse(&self) -> Result<Entry, RoomError> {
        decode(&self.json)
    }
}

#[cfg(test)]
mod tests {
    use wire::{CloseReason, Person, Timestamp};

    use super::*;

    #[test]
    fn the_kind_parsed_from_json_is_the_kind_of_the_body() {
        let user = Person { id: Uuid::from_u128(7), nickname: r#""type":"notice""#.into() };
        let (nonce, text) = ("n".to_owned(), Some(r#","type":"closed","#.to_owned()));
        let changes = [Change::Joined, Change::Left, Change::Removed, Change::Host];
        let mut bodies = vec![
            Body::Message { user: user.clone(), nonce, text: text.clone(), edited_at: None, deleted_at: None },
            Body::Edited { user: user.clone(), target: 1, text: "x".into() },
            Body::Deleted { user: user.clone(), target: 1 },
            Body::Notice { user: user.clone(), text },
            Body::Closed { reason: CloseReason::Ended },
        ];
        bodies.extend(changes.map(|change| Body::Member { user: user.clone(), change }));
        for body in bodies {
            let kind = EntryKind::from(&body);
            let entry = Entry { seq: 3, room: Uuid::nil(), at: Timestamp(5), body };
            let json = super::super::encode(&entry).expect("JSON");
            assert_eq!(RawEntry::new(3, json.clone()).kind(), kind, "{json}");
        }
    }

    #[test]
    fn entries_of_later_versions_and_damaged_ones_are_unknown() {
        for json in ["", "{}", r#"{"type":"poll"}"#, r#"{"type":"member"}"#, r#"{"type":"message""#, r#"["message"]"#] {
            assert_eq!(RawEntry::new(1, json).kind(), EntryKind::Unknown, "{json}");
        }
    }
}
