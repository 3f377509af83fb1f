//! Types of the chat protocol `mingizuk.v1`: JSON objects told apart by `type`.
//!
//! The gateway, the REST service and every client share them; `docs/realtime.md` is the reference. The crate depends on no
//! database, network or framework library unless a feature asks for it: `sql` makes [`Timestamp`] a column, `openapi` makes the
//! types schemas of the OpenAPI document.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `entry` | entries of a room's log |
//! | `command` | commands, from client to gateway |
//! | `frame` | frames from gateway to client, except entries |
//! | [`close`] | close codes |
//! | `time` | timestamps |

pub mod close;
mod command;
mod entry;
mod frame;
mod time;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{
    command::Command,
    entry::{Body, Change, CloseReason, Entry, Notice},
    frame::{Ephemeral, ErrorCode, Frame, Limits},
    time::Timestamp,
};

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
    /// Placeholder for a user whose account was purged: the nil id and the nickname `탈퇴한 회원`.
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
