//! Error of the meetup operations, below everything that raises it. `endpoints.rs` maps it to a response.

use common::db::{DbError, MaybeContention};

use crate::problem::Failure;

/// Why a meetup cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
pub enum MeetupError {
    /// There is none with this id.
    #[error("no such meetup")]
    NotFound,
    /// It has ended or was cancelled.
    #[error("the meetup is over")]
    Over,
    /// The host removed this person before.
    #[error("was removed from the meetup")]
    Removed,
    /// The host must hand over first.
    #[error("the host cannot leave")]
    HostCannotLeave,
    /// The account of the caller was withdrawn.
    #[error("no such account")]
    NoAccount,
    /// Only the host may.
    #[error("not the host")]
    NotTheHost,
    /// The new host is not a member.
    #[error("the new host is not a member")]
    HeirNotAMember,
    /// There are more members than the new capacity.
    #[error("more members than places")]
    TooManyMembers,
    /// The changed meetup is invalid.
    #[error("{0}")]
    Invalid(Box<Failure>),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl MaybeContention for MeetupError {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_contention())
    }
}
