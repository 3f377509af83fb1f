//! Experience: the ledger of awards, its sums by day, and streaks of active days.
//!
//! Every award is a row keyed by workout and cause (`cause.rs`), so it is given once at most and can be taken back.
//! `ledger.rs` writes the rows and their sums by day, `streaks.rs` the streaks; `rules.rs` has the amounts and
//! `runs.rs` the interval logic, both pure. Invariant: every write holds the lock of the user's row.

pub mod cause;
pub mod ledger;
pub mod rules;
pub mod runs;
pub mod streaks;
