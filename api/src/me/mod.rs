//! The caller's account: profile, password, withdrawal and purge, and the export of all personal data.

pub mod endpoints;
pub mod export;
pub mod model;
pub mod password;
pub mod purge;
pub mod rules;
pub mod withdrawal;
