//! Experience: the ledger of what was awarded, and what follows from it.
//!
//! Every award is a row keyed by what caused it, so it is given once at most and can be taken back. `ledger.rs` keeps the
//! rows and their sums by day, `streaks.rs` those of active days; `rules.rs` says how much there is, `runs.rs` how days make runs. What
//! writes runs in a transaction that holds the lock of the user's row.

pub mod cause;
pub mod ledger;
pub mod rules;
pub mod runs;
pub mod streaks;
