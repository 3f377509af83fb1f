//! The WebSocket chat service.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`server`] | accepting connections, what they share, stopping |
//! | [`session`] | one connection: one task that reads, carries out and writes |
//! | [`command`] | what each command does |
//! | [`hub`], [`room`], [`seat`] | the rooms with someone in them, and who sits where |
//! | [`queue`] | what waits for one connection, bounded |
//! | [`frame`] | reading commands, making frames |
//! | [`socket`] | reading and writing one connection's frames |
//! | [`metrics`] | what is counted |
//!
//! A message crosses: session → `RoomStore::append` → ack; and: bus → room → every seat's queue → that connection's session,
//! which writes all that waits at once.

pub mod command;
pub mod frame;
pub mod hub;
pub mod metrics;
pub mod queue;
pub mod room;
pub mod seat;
pub mod server;
pub mod session;
pub mod socket;

pub use server::launch;
