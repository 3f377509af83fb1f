//! Comments on meetups. Reading is public and writing needs an account; the author edits and deletes, the host
//! deletes.

pub mod endpoints;
pub mod model;
pub mod store;
