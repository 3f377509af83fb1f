//! Core library of both services: configuration, identity, database, membership and the room log.
//!
//! `api` and `gateway` import it and never each other. The protocol's types are in the crate `wire`.
//!
//! | module | contents |
//! | --- | --- |
//! | [`bootstrap`] | choice of backends from the configuration, in one place |
//! | [`config`] | profiles, settings, redacted secrets, what production refuses |
//! | [`time`], [`ids`] | clock and id source, passed in so that tests control them |
//! | [`tokens`] | access tokens: signing and verifying |
//! | [`db`] | SQL written once for SQLite and MySQL/MariaDB, migrations |
//! | [`batch`] | request coalescing (the dataloader pattern) |
//! | [`membership`] | membership: who may do what in a meetup's room, and until when |
//! | [`outbox`] | transactional outbox: membership changes reach the room's log |
//! | [`rooms`] | the room log and its two backends |
//! | [`text`] | validation and folding of texts |
//! | [`ops`], [`telemetry`] | operations listener (health, readiness, metrics), logging |

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
