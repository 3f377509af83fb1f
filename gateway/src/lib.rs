//! WebSocket chat gateway: protocol `mingizuk.v1` over the room log of `common`. The reference is `docs/realtime.md`.
//!
//! Each module imports only modules below it in this table.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`server`] | accept loop and graceful stop |
//! | [`handshake`] | the HTTP upgrade: its checks and its answers |
//! | [`session`] | the task of one connection: reading, heartbeat, token expiry, close |
//! | [`authentication`], [`drain`], [`revocation`] | beginning a session; ending sessions at shutdown, or when a log-in ends |
//! | [`commands`] | decoding, dispatch and execution of commands |
//! | [`context`] | what all sessions share |
//! | [`registry`] | index of authenticated connections, in all and by user |
//! | [`connection`] | state of one authenticated connection |
//! | [`hub`] | the rooms with a subscriber on this gateway |
//! | [`room`] | one room: subscription, resync, fan-out to its subscribers |
//! | [`refusal`] | every way a command is refused |
//! | [`transport`] | encoded frames, the outbound queue, the socket |
//! | [`metrics`] | counters and gauges |
//!
//! A message goes from a session's socket through [`commands`] to `RoomStore::append_all`, which is acknowledged; the entry comes
//! back through the room's subscription to [`room`], which encodes it once and pushes it to every subscriber's queue. Start with
//! [`session`] for the first half and [`room`] for the second.

pub mod authentication;
pub mod commands;
pub mod connection;
pub mod context;
pub mod drain;
pub mod handshake;
pub mod hub;
pub mod metrics;
pub mod refusal;
pub mod registry;
pub mod revocation;
pub mod room;
pub mod server;
pub mod session;
pub mod transport;

pub use server::launch;
