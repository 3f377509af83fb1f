//! Place search by Kakao Local, called by the server so that its key stays secret.
//!
//! `kakao.rs` is the client, with limits on time, size and concurrency; `cache.rs` caches its responses.

pub mod cache;
pub mod endpoints;
pub mod kakao;
pub mod model;
