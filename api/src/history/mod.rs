//! Activity history of a user: the habits of a month, the graph of a week, and a series of weeks.
//!
//! Read from the sums by day of the award ledger, one row a day at most. `rules.rs` arranges days into months, weeks
//! and series; `store.rs` reads them.

pub mod endpoints;
pub mod model;
pub mod rules;
pub mod store;
