//! Engines: virtual users that talk HTTP, WebSocket and Socket.IO.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`error`] | why a user failed: the names of Artillery's error counters |
//! | [`connect`] | TCP and TLS connections; only to this machine unless allowed |
//! | [`user`] | a virtual user: variables, randomness, what it shares with all others |
//! | [`session`] | a user's way through a flow |
//! | [`http`] | requests: connections, redirects, cookies, compression |
//! | [`answer`] | captures, matches and expectations |
//! | [`chat`] | stamps of messages, and what comes of them |
//! | [`ws`], [`socketio`] | sockets |

pub mod answer;
pub mod chat;
pub mod connect;
pub mod error;
pub mod http;
pub mod session;
pub mod socketio;
pub mod user;
pub mod ws;

pub use error::UserError;
pub use session::Session;
pub use user::{Shared, User};
