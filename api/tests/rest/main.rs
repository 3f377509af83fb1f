//! The REST service over real HTTP, on both databases: one file a noun.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod auth;
mod books;
mod demo;
mod document;
mod history;
mod jobs;
mod me;
mod meetups;
mod plans;
mod room;
mod room_end;
mod routines;
mod service;
mod three_months;
mod workouts;
