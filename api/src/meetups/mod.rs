//! Meetups: opening one, finding one, and its members.
//!
//! `store.rs` holds the meetups themselves, `members.rs` who takes part: joining, waiting, leaving, under the lock of the
//! meetup's row, so that no race puts more people in than there are places.

pub mod cancel;
pub mod endpoints;
pub mod members;
pub mod model;
pub mod rules;
pub mod store;
