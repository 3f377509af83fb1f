//! What clients send.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::Position;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Says who is there, where no header could.
    Hello {
        /// An access token.
        token: String,
    },
    /// Begins to receive a room's entries.
    Join {
        /// Chosen by the client; the reply carries it.
        id: u64,
        /// The room.
        room: Uuid,
        /// The last position seen; without it the latest entries are returned.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since: Option<Position>,
    },
    /// Says something.
    Send {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// The same for every attempt to send this message.
        nonce: String,
        /// The text.
        text: String,
    },
    /// Gives a message of one's own a new text.
    Edit {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// The number of the message.
        seq: u64,
        /// The new text.
        text: String,
    },
    /// Deletes a message: one's own, or any for the host.
    Delete {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// The number of the message.
        seq: u64,
    },
    /// Says up to where the user has read. Without a reply.
    Read {
        /// The room.
        room: Uuid,
        /// The number of the latest entry read.
        seq: u64,
    },
    /// Says that the user is writing. Without a reply.
    Typing {
        /// The room.
        room: Uuid,
    },
    /// Sets or, with null, clears the notice.
    Notice {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// The text; must be present, if only as null.
        #[serde(deserialize_with = "present")]
        text: Option<String>,
    },
    /// Replaces the token of this connection before it expires.
    Refresh {
        /// Chosen by the client.
        id: u64,
        /// A newer access token of the same user.
        token: String,
    },
    /// Ends this connection's delivery from a room.
    Leave {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
    },
}

impl Command {
    /// The number by which the client knows the reply, if the command has one.
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Hello { .. } | Self::Read { .. } | Self::Typing { .. } => None,
            Self::Join { id, .. }
            | Self::Send { id, .. }
            | Self::Edit { id, .. }
            | Self::Delete { id, .. }
            | Self::Notice { id, .. }
            | Self::Refresh { id, .. }
            | Self::Leave { id, .. } => Some(*id),
        }
    }
}

/// Without `default`, a field read by a function must be present, even when it is an `Option`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_need_every_field_but_since() {
        let room = Uuid::from_u128(1);
        for (json, command) in [
            (
                r#"{"type":"join","id":1,"room":"00000000-0000-0000-0000-000000000001"}"#,
                Some(Command::Join { id: 1, room, since: None }),
            ),
            (
                r#"{"type":"notice","id":1,"room":"00000000-0000-0000-0000-000000000001","text":null}"#,
                Some(Command::Notice { id: 1, room, text: None }),
            ),
            (r#"{"type":"notice","id":1,"room":"00000000-0000-0000-0000-000000000001"}"#, None),
            (r#"{"type":"send","id":1,"room":"00000000-0000-0000-0000-000000000001","text":"x"}"#, None),
            (r#"{"type":"dance","id":1}"#, None),
            (r#"{"type":"leave","id":"1","room":"00000000-0000-0000-0000-000000000001"}"#, None),
        ] {
            assert_eq!(serde_json::from_str(json).ok(), command, "{json}");
        }
    }
}
