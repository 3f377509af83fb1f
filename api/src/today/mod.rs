//! Today: what a user sees first. The main routine, the run of it that is open, the monster, and what was done so far.

pub mod endpoints;
pub mod model;
pub mod store;
