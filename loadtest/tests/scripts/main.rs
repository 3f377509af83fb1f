//! Tests of `loadtest run`: scripts with mistakes, runs against real sockets, and the truth of what is reported.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a target that cannot start ends its test")]

mod mistakes;
mod runs;
mod support;
mod truth;
