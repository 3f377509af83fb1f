//! Oneself: the profile, the password, withdrawal, and the export of everything about the caller.

pub mod endpoints;
pub mod export;
pub mod model;
pub mod password;
pub mod purge;
pub mod rules;
pub mod withdrawal;
