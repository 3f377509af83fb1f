//! Observer of a client: told of connections, joins and entries as they happen, before the client acts on them.

use std::{fmt, time::Duration};

use uuid::Uuid;
use wire::Entry;

/// What happens to a client.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A gateway has welcomed it.
    Connected {
        /// From beginning to connect to the welcome.
        took: Duration,
    },
    /// A room is joined.
    Joined {
        /// The room.
        room: Uuid,
        /// The log's latest entry.
        seq: u64,
        /// Whether `entries` follow the position that the client had.
        recovered: bool,
        /// The page.
        entries: &'a [Entry],
    },
    /// A live entry has come.
    Entry(&'a Entry),
    /// The connection has ended, or there was none; 1006 without a close frame.
    Ended {
        /// The close code.
        code: u16,
    },
}

/// Who is told. Called from the client's task: it must not block.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Takes in an event.
    fn observe(&self, event: Event<'_>);
}
