//! Monsters: each user raises one at a time with the experience they earn; grown ones are collected.
//!
//! `species.rs` is the catalogue, `rules.rs` the growth rules, `store.rs` the SQL. Invariant: experience is never
//! lost; what a monster cannot take is kept for the next.

pub mod endpoints;
pub mod model;
pub mod rules;
pub mod species;
pub mod store;
