//! Actions: the small exercises that routines are made of, and the preset routines to copy.
//!
//! Both are constants. `catalogue.rs` holds them, `endpoints.rs` shows them.

pub mod catalogue;
pub mod endpoints;
