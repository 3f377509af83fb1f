//! Catalogue of actions, the exercises that routines are made of, and of preset routines.
//!
//! Both are constants in `catalogue.rs`; `endpoints.rs` lists them.

pub mod catalogue;
pub mod endpoints;
