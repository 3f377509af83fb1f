//! What the gateway sends besides entries.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Entry, Notice, Person, Role, Timestamp};

/// What the gateway sends, besides entries. `E` is how a page holds its entries: parsed by clients, raw by the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame<E = Entry> {
    /// The connection is authenticated.
    Welcome {
        /// This connection, for support and logs.
        connection: Uuid,
        /// Who it speaks for.
        user: Person,
        /// Time between pings, in milliseconds.
        heartbeat_ms: u64,
        /// When the token stops being valid.
        token_expires_at: Timestamp,
        /// What is accepted.
        limits: Limits,
    },
    /// The answer to `join`.
    Joined {
        /// Of the command.
        id: Option<u64>,
        /// The room.
        room: Uuid,
        /// The log's epoch.
        epoch: Uuid,
        /// Where the client is once it has applied `entries`; live entries follow with the next number.
        seq: u64,
        /// Whether `entries` is exactly what came after `since`.
        recovered: bool,
        /// The entries, oldest first.
        entries: Vec<E>,
        /// The notice, if there is one.
        notice: Option<Notice>,
        /// What the user may do.
        role: Role,
        /// People in the room, on every gateway, this one included.
        online: u64,
        /// Up to where the user has read; 0 if never.
        read_seq: u64,
        /// Entries after that.
        unread: u64,
    },
    /// The command was carried out.
    Ack {
        /// Of the command.
        id: u64,
        /// The room.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        room: Option<Uuid>,
        /// The number of the entry that was made.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        seq: Option<u64>,
        /// When it was accepted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at: Option<Timestamp>,
        /// Whether the same nonce had been accepted before.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        duplicate: Option<bool>,
    },
    /// The answer to `leave`.
    Left {
        /// Of the command.
        id: u64,
        /// The room.
        room: Uuid,
    },
    /// The command was refused.
    Error {
        /// Of the command, if it had one.
        id: Option<u64>,
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: String,
        /// Whether the same command may succeed later.
        temporary: bool,
        /// How long to wait before trying again.
        retry_after_ms: Option<u64>,
    },
    /// The token expires soon: `refresh`, or the connection is closed with 4401.
    Expiring {
        /// In how many milliseconds.
        in_ms: u64,
    },
    /// The gateway is about to close the connection; another will be there.
    Reconnect {
        /// How long to wait before connecting again.
        after_ms: u64,
    },
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not a command of this protocol, or a field of the wrong type.
    BadRequest,
    /// The user is not a member of the meetup, or there is no such meetup.
    NotAMember,
    /// Only the host may do this.
    NotTheHost,
    /// The connection has not joined the room.
    NotJoined,
    /// The text is empty, too long, or has control characters.
    BadText,
    /// The nonce is empty or too long.
    BadNonce,
    /// There is no such message, or it has been deleted.
    NoSuchMessage,
    /// The message is someone else's.
    NotTheAuthor,
    /// The token is not valid, has expired, or is another user's.
    BadToken,
    /// The meetup has ended or was cancelled.
    RoomReadOnly,
    /// The connection has joined as many rooms as it may.
    TooManyRooms,
    /// Too many commands in too short a time.
    RateLimited,
    /// The room log or the database does not answer.
    Unavailable,
}

impl ErrorCode {
    /// As it stands in a frame.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotAMember => "not_a_member",
            Self::NotTheHost => "not_the_host",
            Self::NotJoined => "not_joined",
            Self::BadText => "bad_text",
            Self::BadNonce => "bad_nonce",
            Self::NoSuchMessage => "no_such_message",
            Self::NotTheAuthor => "not_the_author",
            Self::BadToken => "bad_token",
            Self::RoomReadOnly => "room_read_only",
            Self::TooManyRooms => "too_many_rooms",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What the gateway accepts from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Characters of a message.
    pub text_chars: usize,
    /// Bytes of a frame.
    pub frame_bytes: usize,
    /// Commands a second, for long.
    pub commands_per_second: u32,
    /// Commands at once.
    pub command_burst: u32,
    /// Connections of one user.
    pub connections_per_user: u32,
    /// Rooms of one connection.
    pub rooms_per_connection: usize,
    /// Bytes waiting for one connection.
    pub queue_bytes: usize,
    /// Frames waiting for one connection.
    pub queue_frames: usize,
}

/// What the members of a room are told in passing: not in the log, and not repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ephemeral {
    /// Someone is writing.
    Typing {
        /// The room.
        room: Uuid,
        /// Who.
        user: Person,
    },
    /// Someone came or went.
    Presence {
        /// The room.
        room: Uuid,
        /// People in the room now.
        online: u64,
        /// Who came.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        joined: Option<Person>,
        /// Who went.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        left: Option<Person>,
    },
    /// Someone has read up to `seq`.
    Read {
        /// The room.
        room: Uuid,
        /// Who.
        user: Person,
        /// The number of the latest entry they have read.
        seq: u64,
    },
}

impl Ephemeral {
    /// The room it is about.
    pub const fn room(&self) -> Uuid {
        match self {
            Self::Typing { room, .. } | Self::Presence { room, .. } | Self::Read { room, .. } => *room,
        }
    }
}
