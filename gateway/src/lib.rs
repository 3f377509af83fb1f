//! The WebSocket chat service.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`server`] | accepting connections, what they share, stopping |
//! | [`session`] | one connection: one task that reads commands and carries them out |
//! | [`connection`] | an authenticated connection, and what each of its commands does |
//! | [`hub`], [`room`], [`seat`] | the rooms with someone in them, and who sits where |
//! | [`frame`] | reading commands, making frames |
//! | [`outgoing`], [`queue`] | frames on their way to one connection, bounded |
//! | [`socket`] | what the WebSocket library does for one connection |
//! | [`metrics`] | what is counted |
//!
//! A message crosses: session → `RoomStore::append` → ack; and: bus → room → every seat's queue → its socket.

pub mod connection;
pub mod frame;
pub mod hub;
pub mod metrics;
pub mod outgoing;
pub mod queue;
pub mod room;
pub mod seat;
pub mod server;
pub mod session;
pub mod socket;

pub use server::launch;
