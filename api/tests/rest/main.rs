//! The REST service over real HTTP, on both databases: one file a noun.
#![expect(clippy::expect_used, reason = "tests")]

mod auth;
mod demo;
mod meetups;
mod room;
mod service;
