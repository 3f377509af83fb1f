//! The database layer on both databases: values, transactions, time limits, and two schemas that are one.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod cancelled;
mod full;
mod schema;
mod settings;
mod transactions;
mod unavailable;
mod values;
