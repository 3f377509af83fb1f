//! Entries of a room's log: everything that a member must not miss.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Person, Timestamp};

/// An entry of a room's log, as clients receive it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3 … without a gap.
    pub seq: u64,
    /// The room: its meetup's id.
    pub room: Uuid,
    /// When it was accepted.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// Content of an entry, by its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// A message. A page of history shows its present state.
    Message {
        /// The author.
        user: Person,
        /// The author's idempotency key: a message sent twice with it is one entry.
        nonce: String,
        /// The text; absent once deleted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
        /// When it was last edited.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        edited_at: Option<Timestamp>,
        /// When it was deleted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        deleted_at: Option<Timestamp>,
    },
    /// A message was edited.
    Edited {
        /// Who edited it.
        user: Person,
        /// The `seq` of the message.
        target: u64,
        /// The new text.
        text: String,
    },
    /// A message was deleted.
    Deleted {
        /// Who deleted it.
        user: Person,
        /// The `seq` of the message.
        target: u64,
    },
    /// The notice was set, or cleared if `text` is null.
    Notice {
        /// The host who did.
        user: Person,
        /// The new notice.
        text: Option<String>,
    },
    /// The meetup's members changed.
    Member {
        /// Whom it is about.
        user: Person,
        /// How.
        change: Change,
    },
    /// The room takes no more messages.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

impl Body {
    /// The user whom the entry is from or about.
    pub const fn person(&self) -> Option<&Person> {
        match self {
            Self::Message { user, .. }
            | Self::Edited { user, .. }
            | Self::Deleted { user, .. }
            | Self::Notice { user, .. }
            | Self::Member { user, .. } => Some(user),
            Self::Closed { .. } => None,
        }
    }

    /// The same user, mutable.
    pub const fn person_mut(&mut self) -> Option<&mut Person> {
        match self {
            Self::Message { user, .. }
            | Self::Edited { user, .. }
            | Self::Deleted { user, .. }
            | Self::Notice { user, .. }
            | Self::Member { user, .. } => Some(user),
            Self::Closed { .. } => None,
        }
    }

    /// `seq` of the message that the entry changes, if it changes one.
    pub const fn target(&self) -> Option<u64> {
        match self {
            Self::Edited { target, .. } | Self::Deleted { target, .. } => Some(*target),
            _ => None,
        }
    }
}

/// How a meetup's members changed.
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum), oai(rename_all = "snake_case"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Joined the meetup.
    Joined,
    /// Left it by their own will.
    Left,
    /// Was removed by the host.
    Removed,
    /// Is the host now.
    Host,
}

/// Why a room takes no more messages.
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum), oai(rename_all = "snake_case"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The meetup is over.
    Ended,
    /// The host called it off.
    Cancelled,
}

/// The notice of a room.
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object), oai(example))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// The host who set it.
    pub user: Person,
    /// When it was set.
    pub at: Timestamp,
}

#[cfg(feature = "openapi")]
impl poem_openapi::types::Example for Notice {
    fn example() -> Self {
        let id = Uuid::from_u128(0x0197_a3c2_7b1e_7c5a_9d53_3f1d_2b8f_6a10);
        let user = Person { id, nickname: "밍기".to_owned() };
        Self { text: "준비물: 수건".to_owned(), user, at: Timestamp(1_780_000_000_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_as_they_are_written() {
        let person = Person { id: Uuid::from_u128(7), nickname: "밍기".into() };
        for (body, json) in [
            (
                Body::Message {
                    user: person.clone(),
                    nonce: "n-1".into(),
                    text: Some("안녕".into()),
                    edited_at: None,
                    deleted_at: None,
                },
                r#"{"seq":3,"room":"00000000-0000-0000-0000-000000000001","at":"1970-01-01T00:00:00.005Z","type":"message","user":{"id":"00000000-0000-0000-0000-000000000007","nickname":"밍기"},"nonce":"n-1","text":"안녕"}"#,
            ),
            (
                Body::Notice { user: person.clone(), text: None },
                r#"{"seq":3,"room":"00000000-0000-0000-0000-000000000001","at":"1970-01-01T00:00:00.005Z","type":"notice","user":{"id":"00000000-0000-0000-0000-000000000007","nickname":"밍기"},"text":null}"#,
            ),
            (
                Body::Member { user: person, change: Change::Removed },
                r#"{"seq":3,"room":"00000000-0000-0000-0000-000000000001","at":"1970-01-01T00:00:00.005Z","type":"member","user":{"id":"00000000-0000-0000-0000-000000000007","nickname":"밍기"},"change":"removed"}"#,
            ),
        ] {
            let entry = Entry { seq: 3, room: Uuid::from_u128(1), at: Timestamp(5), body };
            assert_eq!(serde_json::to_string(&entry).expect("json"), json);
            assert_eq!(serde_json::from_str::<Entry>(json).expect("entry"), entry);
        }
    }
}
