//! Workouts: runs of a routine, with a snapshot of it.
//!
//! A routine has one open workout at most. Completing its last action finishes it, and then it is closed for good.
//! `rules.rs` is the completion bitmask, `model.rs` what clients see, `store.rs` the SQL.

pub mod endpoints;
pub mod model;
pub mod rules;
pub mod store;
