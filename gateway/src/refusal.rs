//! Refusals: every way a command is refused, and its `error` frame.

use common::{
    db::DbError,
    rooms::{AppendError, RoomError},
};
use wire::{ErrorCode, Frame};

/// How long a client waits before it repeats a command that a backend could not execute.
const RETRY_AFTER_MS: u64 = 1_000;

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The command's id, if it has one.
    pub id: Option<u64>,
    /// The reason, for programs.
    pub code: ErrorCode,
    /// The reason, for people.
    pub message: String,
    /// How long to wait before trying again.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal that stands until the client changes something.
    pub fn new(id: impl Into<Option<u64>>, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { id: id.into(), code, message: message.into(), retry_after_ms: None }
    }

    /// The same command may succeed in a second.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after_ms: Some(RETRY_AFTER_MS), ..Self::new(None, ErrorCode::Unavailable, message) }
    }

    /// The user is not a member of the meetup, or there is no such meetup.
    pub fn not_a_member() -> Self {
        Self::new(None, ErrorCode::NotAMember, "only members of the meetup may do this")
    }

    /// Its `error` frame.
    pub fn into_frame(self) -> Frame {
        Frame::Error {
            id: self.id,
            code: self.code,
            message: self.message,
            temporary: matches!(self.code, ErrorCode::RateLimited | ErrorCode::Unavailable),
            retry_after_ms: self.retry_after_ms,
        }
    }
}

impl From<AppendError> for Refusal {
    fn from(refused: AppendError) -> Self {
        let code = match refused {
            AppendError::NoSuchMessage => ErrorCode::NoSuchMessage,
            AppendError::NotTheAuthor => ErrorCode::NotTheAuthor,
            AppendError::RoomClosed => ErrorCode::RoomReadOnly,
        };
        Self::new(None, code, refused.to_string())
    }
}

impl From<RoomError> for Refusal {
    fn from(error: RoomError) -> Self {
        match &error {
            RoomError::Refused(refused) => (*refused).into(),
            RoomError::Unavailable(_) | RoomError::Corrupt(_) => backend_failure(&error),
        }
    }
}

impl From<DbError> for Refusal {
    fn from(error: DbError) -> Self {
        backend_failure(&error)
    }
}

/// Logs the error: the client is told only to try again.
fn backend_failure(error: &dyn std::error::Error) -> Refusal {
    tracing::warn!(%error, "command failed");
    Refusal::unavailable("a backend does not answer; try again shortly")
}
