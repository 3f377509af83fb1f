//! Comments on meetups: everyone reads them, whoever is logged in writes them; the author edits and deletes, the host deletes.

pub mod endpoints;
pub mod model;
pub mod store;
