//! Tests of the gateway over real sockets: one gateway on SQLite, and two gateways on MariaDB and Redis.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod ephemeral;
mod hostile;
mod limits;
mod protocol;
mod stopping;
mod world;
