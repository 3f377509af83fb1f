//! Monsters: one grows with what its user does; grown ones are collected.
//!
//! `species.rs` is the catalogue, `rules.rs` how they grow.

pub mod endpoints;
pub mod model;
pub mod rules;
pub mod species;
pub mod store;
