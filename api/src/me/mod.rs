//! Oneself: the profile and everything about the caller.

pub mod endpoints;
