//! Accounts and log-in sessions: sign up, log in, refresh, log out, restore.
//!
//! A session is one device. Its refresh tokens form a family (RFC 9700, section 4.14.2): each is used once, its successor
//! comes with the reply, and a token used twice revokes the session.

pub mod endpoints;
pub mod login;
pub mod passwords;
pub mod rules;
pub mod secrets;
pub mod sessions;
pub mod store;
