//! Likes of meetups: one for each account, counted on the meetup's row under its lock.

pub mod endpoints;
pub mod store;
