//! Routines: actions that a user repeats.
//!
//! A user has at most 100. Editing or deleting one changes nothing that was done with it: a workout keeps a snapshot.
//! `model.rs` holds what clients see, `rules.rs` what a routine must be.

pub mod endpoints;
pub mod model;
pub mod rules;
pub mod store;
