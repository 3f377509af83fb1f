//! Frames from gateway to client, except live entries, which are sent as they are in the log.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Entry, Notice, Person, Role, Timestamp};

/// A frame from gateway to client. `E` is the type of the entries in a page: parsed in clients, raw JSON in the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame<E = Entry> {
    /// First frame of an authenticated connection.
    Welcome {
        /// Id of the connection, as it stands in logs.
        connection: Uuid,
        /// The authenticated user.
        user: Person,
        /// Time between pings, in milliseconds.
        heartbeat_ms: u64,
        /// When the token stops being valid.
        token_expires_at: Timestamp,
        /// Limits of the gateway.
        limits: Limits,
    },
    /// Reply to `join`; without an `id` when the gateway restarts the room because its log began a new epoch.
    Joined {
        /// `id` of the command.
        id: Option<u64>,
        /// The room.
        room: Uuid,
        /// Epoch of the log.
        epoch: Uuid,
        /// Position of the client after it has applied `entries`; the next live entry has `seq` + 1.
        seq: u64,
        /// Whether `entries` is exactly everything after `since`.
        recovered: bool,
        /// The entries, oldest first.
        entries: Vec<E>,
        /// The notice, if there is one.
        notice: Option<Notice>,
        /// The user's role.
        role: Role,
        /// Users in the room, on all gateways, this user included.
        online: u64,
        /// The user's read mark; 0 if there is none.
        read_seq: u64,
        /// Entries after the read mark.
        unread: u64,
    },
    /// The command succeeded.
    Ack {
        /// `id` of the command.
        id: u64,
        /// The room.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        room: Option<Uuid>,
        /// `seq` of the new entry.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        seq: Option<u64>,
        /// When it was accepted.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at: Option<Timestamp>,
        /// Whether the nonce was accepted before: no new entry was made.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        duplicate: Option<bool>,
    },
    /// Reply to `leave`.
    Left {
        /// `id` of the command.
        id: u64,
        /// The room.
        room: Uuid,
    },
    /// The command was refused.
    Error {
        /// `id` of the command, if it had one.
        id: Option<u64>,
        /// The reason, for programs.
        code: ErrorCode,
        /// The reason, for people.
        message: String,
        /// Whether the same command may succeed later.
        temporary: bool,
        /// How long to wait before trying again.
        retry_after_ms: Option<u64>,
    },
    /// The access token expires soon: the client sends `refresh`, or the connection is closed with 4401.
    Expiring {
        /// Milliseconds until then.
        in_ms: u64,
    },
    /// The gateway stops and closes the connection next; the client reconnects, to any gateway.
    Reconnect {
        /// Milliseconds to wait before connecting again.
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
    /// The code as text, as in frames and metrics.
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

/// Limits of the gateway, told in `welcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest message, in Unicode characters.
    pub text_chars: usize,
    /// Largest frame from a client, in bytes.
    pub frame_bytes: usize,
    /// Sustained commands a second of one connection.
    pub commands_per_second: u32,
    /// Commands that may come at once.
    pub command_burst: u32,
    /// Most connections of one user.
    pub connections_per_user: u32,
    /// Most rooms of one connection.
    pub rooms_per_connection: usize,
    /// Most bytes in one connection's outbound queue.
    pub queue_bytes: usize,
    /// Most frames in one connection's outbound queue.
    pub queue_frames: usize,
}

/// Ephemeral event: not in the log, without `seq`; delivery is best effort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ephemeral {
    /// A user is typing.
    Typing {
        /// The room.
        room: Uuid,
        /// Who.
        user: Person,
    },
    /// The users in the room changed.
    Presence {
        /// The room.
        room: Uuid,
        /// Users in the room now.
        online: u64,
        /// The user who came, if one did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        joined: Option<Person>,
        /// The user who left, if one did.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        left: Option<Person>,
    },
    /// A user's read mark moved.
    Read {
        /// The room.
        room: Uuid,
        /// Who.
        user: Person,
        /// `seq` of the latest entry that the user has read.
        seq: u64,
    },
}

impl Ephemeral {
    /// The room.
    pub const fn room(&self) -> Uuid {
        match self {
            Self::Typing { room, .. } | Self::Presence { room, .. } | Self::Read { room, .. } => *room,
        }
    }
}
