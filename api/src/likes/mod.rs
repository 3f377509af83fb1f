//! Likes of meetups: one a person, counted on the meetup's row under its lock.

pub mod endpoints;
pub mod store;
