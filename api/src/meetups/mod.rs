//! Meetups: opening one, finding one, and its members.
//!
//! `store.rs` holds the meetups themselves, `members.rs` who takes part: joining, waiting, leaving, under the lock of the
//! meetup's row, so that no race puts more people in than there are places. `host.rs` is what only the host does,
//! `search.rs` how meetups are found, `grid.rs` those near a point, `mine/` one's own.

pub mod cancel;
pub mod endpoints;
pub mod grid;
pub mod host;
pub mod members;
pub mod mine;
pub mod model;
pub mod rules;
pub mod search;
pub mod store;
