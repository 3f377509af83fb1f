//! Rooms over REST: history, posting a message, the notice, presence.
//!
//! Uses the same [`common::rooms::RoomStore`] as the gateway, so a message posted here is delivered to sockets at
//! once. `end.rs` closes and retires rooms, with its SQL in `store.rs`.

pub mod end;
pub mod endpoints;
pub mod model;
pub mod store;
