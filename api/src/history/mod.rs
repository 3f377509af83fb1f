//! History: what a user did on which days, as a month, a week, and a longer series.
//!
//! Read from the sums by day that the ledger keeps: never more rows than the days that are shown.

pub mod endpoints;
pub mod model;
pub mod rules;
pub mod store;
