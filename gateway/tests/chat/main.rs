//! The gateway over real sockets: on SQL with one process's bus, and two gateways on Redis and MariaDB.
#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod ephemeral;
mod hostile;
mod limits;
mod protocol;
mod stopping;
mod world;
