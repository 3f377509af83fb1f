//! Calendar export (iCalendar, RFC 5545): one meetup as a file, and a user's meetups as a feed.
//!
//! The address of a feed is a secret that grants read access to the calendar only, because calendar programs send no
//! token. A password change replaces it. `file.rs` writes iCalendar, `store.rs` has the tokens.

pub mod endpoints;
pub mod file;
pub mod store;
