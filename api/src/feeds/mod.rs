//! Calendars that other programs read (iCalendar, RFC 5545): one meetup as a file, and everything one takes part in as a feed.
//!
//! A feed's address is its only key, for calendar programs send no token. It is secret, shows nothing but the calendar, and a
//! new password makes it another.

pub mod endpoints;
pub mod file;
pub mod store;
