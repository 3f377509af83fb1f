//! Commands: frames from client to gateway.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::Position;

/// A command. Each with an `id` gets exactly one reply with the same `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Authenticates the connection, for clients that cannot set the `Authorization` header.
    Hello {
        /// An access token.
        token: String,
    },
    /// Subscribes the connection to a room. Reply: `joined`.
    Join {
        /// Chosen by the client; the reply carries it.
        id: u64,
        /// The room.
        room: Uuid,
        /// The last position seen; without it the latest entries are returned.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        since: Option<Position>,
    },
    /// Appends a message. Reply: `ack`.
    Send {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// Idempotency key: the same for every attempt to send this message.
        nonce: String,
        /// The text.
        text: String,
    },
    /// Replaces the text of a message of one's own. Reply: `ack`.
    Edit {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// `seq` of the message.
        seq: u64,
        /// The new text.
        text: String,
    },
    /// Deletes a message: one's own, or any if the user is the host. Reply: `ack`.
    Delete {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// `seq` of the message.
        seq: u64,
    },
    /// Moves the user's read mark. No reply unless refused.
    Read {
        /// The room.
        room: Uuid,
        /// `seq` of the latest entry read.
        seq: u64,
    },
    /// Tells the room that the user is typing. No reply unless refused.
    Typing {
        /// The room.
        room: Uuid,
    },
    /// Sets the notice, or clears it with null. Host only. Reply: `ack`.
    Notice {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
        /// The text. The field is required, also when null.
        #[serde(deserialize_with = "present")]
        text: Option<String>,
    },
    /// Replaces the connection's access token before it expires. Reply: `ack`.
    Refresh {
        /// Chosen by the client.
        id: u64,
        /// A newer access token of the same user.
        token: String,
    },
    /// Unsubscribes the connection from a room; the user stays a member. Reply: `left`.
    Leave {
        /// Chosen by the client.
        id: u64,
        /// The room.
        room: Uuid,
    },
}

impl Command {
    /// The `id` that the reply repeats, if the command has one.
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

/// Deserializes an optional text whose field is required: serde allows a missing `Option` only without this function.
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
