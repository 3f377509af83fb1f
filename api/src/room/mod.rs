//! A meetup's room over REST: its history, posting a message, its notice, who is there.
//!
//! The same [`common::rooms::RoomStore`] calls as the gateway makes, so what is posted here reaches sockets at once. `end.rs` is how
//! rooms end, with its SQL in `store.rs`.

pub mod end;
pub mod endpoints;
pub mod model;
pub mod store;
