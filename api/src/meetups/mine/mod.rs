//! Meetups that the caller hosts, takes part in, waits for, likes or has commented on.

pub mod endpoints;
pub mod store;

use poem_openapi::Enum;

/// What one has to do with a meetup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "MeetupRole", rename_all = "lowercase")]
pub enum Involvement {
    /// Hosts it.
    Hosted,
    /// Takes part in it, as its host too.
    Joined,
    /// Waits for a place.
    Waiting,
    /// Likes it.
    Liked,
    /// Wrote a comment on it.
    Commented,
}

impl Involvement {
    /// For the OpenAPI document.
    pub const fn example() -> Self {
        Self::Joined
    }
}
