//! Today, the first screen: main routine, its open workout, the monster, and the sums of the day.

pub mod endpoints;
pub mod model;
pub mod store;
