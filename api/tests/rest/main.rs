//! The REST service over real HTTP, on both databases: one file a noun.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod auth;
mod comments;
mod counts;
mod demo;
mod document;
mod feeds;
mod history;
mod hosting;
mod jobs;
mod ledger_invariants;
mod me;
mod meetups;
mod monsters;
mod places;
mod plans;
mod purge;
mod races;
mod room;
mod room_end;
mod routines;
mod schema;
mod search;
mod service;
mod statements;
mod three_months;
mod workouts;
