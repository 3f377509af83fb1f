//! What both services must agree on.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`bootstrap`] | the one place that chooses backends from the configuration |
//! | [`config`] | profiles, settings, redacted secrets, what production refuses |
//! | [`time`], [`ids`] | the clock and the id source, passed in so that tests can control them |
//! | [`tokens`] | access tokens: signing and verifying |
//! | [`db`] | SQL written once for SQLite and MySQL/MariaDB, migrations |
//! | [`batch`] | many look-ups in one statement when many are asked for at once |
//! | [`membership`] | who may do what in a meetup's room |
//! | [`outbox`] | how what SQL commits about a room reaches its log |
//! | [`rooms`] | the room log and its two backends |
//! | [`text`] | the rules every text a user sends is held to |
//! | [`ops`], [`telemetry`] | health, readiness, metrics, logs |

pub mod batch;
pub mod bootstrap;
pub mod config;
pub mod db;
pub mod ids;
pub mod membership;
pub mod ops;
pub mod outbox;
pub mod rooms;
pub mod telemetry;
pub mod text;
pub mod time;
pub mod tokens;
