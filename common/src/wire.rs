//! The frames of the chat protocol `mingizuk.v1`: JSON objects told apart by `type`.
//!
//! The gateway, the REST service and every client share these types; `docs/realtime.md` is their reference.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "mingizuk.v1";
/// Characters of a nonce, at most.
pub const NONCE_CHARS: usize = 64;

/// Characters of a notice, at most.
pub const NOTICE_CHARS: usize = 500;

/// A user as others see them.
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user's id.
    pub id: Uuid,
    /// The nickname at the time of the entry.
    pub nickname: String,
}

impl Person {
    /// Who stands where someone was whose account has been purged: the nil id, `탈퇴한 회원`.
    pub fn withdrawn() -> Self {
        Self { id: Uuid::nil(), nickname: "탈퇴한 회원".to_owned() }
    }
}

/// What a member may do in a room.
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum), oai(rename_all = "snake_case"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Opened the meetup, or took it over: may set the notice and delete any message.
    Host,
    /// Takes part.
    Member,
}

/// A place in a room's log. Positions of different epochs cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which log: it changes when a log was lost and begins anew.
    pub epoch: Uuid,
    /// The number of the latest entry; 0 before the first.
    pub seq: u64,
}

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

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// Someone said something. In a page of history it has its present state.
    Message {
        /// The author.
        user: Person,
        /// The author's own mark, by which a message sent twice is one.
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
    /// A message has a new text.
    Edited {
        /// Who edited it.
        user: Person,
        /// The `seq` of the message.
        target: u64,
        /// The new text.
        text: String,
    },
    /// A message is gone.
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
    /// Whom it is from or about.
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

    /// The same, to be replaced.
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

    /// The number of the message that it changes.
    pub const fn target(&self) -> Option<u64> {
        match self {
            Self::Edited { target, .. } | Self::Deleted { target, .. } => Some(*target),
            _ => None,
        }
    }
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

/// Why a connection was closed, beyond the codes of RFC 6455, section 7.4.1.
pub mod close {
    /// The process is shutting down.
    pub const GOING_AWAY: u16 = 1001;
    /// The process is restarting.
    pub const RESTART: u16 = 1012;
    /// A backend does not answer; try again later.
    pub const TRY_AGAIN: u16 = 1013;
    /// Not a frame of this protocol.
    pub const BAD_FRAME: u16 = 4400;
    /// The token is missing, invalid or expired.
    pub const UNAUTHENTICATED: u16 = 4401;
    /// The account is withdrawn or the session revoked.
    pub const FORBIDDEN: u16 = 4403;
    /// No hello in time.
    pub const NO_HELLO: u16 = 4408;
    /// Over a limit again and again.
    pub const TOO_MANY: u16 = 4429;
    /// The reader is too slow; its queue overflowed.
    pub const SLOW_READER: u16 = 4508;
    /// No pong.
    pub const NO_PONG: u16 = 4509;
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
