//! Tags of the OpenAPI document, and the base path of all operations.

use poem_openapi::Tags;

/// Base path of every operation.
pub const BASE: &str = "/api/v1";

/// The groups of operations.
#[derive(Tags)]
pub enum Tag {
    /// Accounts and log-in sessions.
    Auth,
    /// Oneself.
    Me,
    /// Actions, presets, and the routines made of them.
    Routines,
    /// Runs of routines.
    Workouts,
    /// Monsters that grow.
    Monsters,
    /// What one did on which days.
    History,
    /// Meetups and their members.
    Meetups,
    /// Comments on meetups.
    Comments,
    /// Meetups for calendar programs.
    Calendars,
    /// Places to meet at.
    Places,
    /// A meetup's room: its log and its notice.
    Room,
}
