//! Places to meet at: Kakao Local, asked by the server so that its key stays here.
//!
//! `kakao.rs` speaks to Kakao, `cache.rs` remembers its answers for a while.

pub mod cache;
pub mod endpoints;
pub mod kakao;
pub mod model;
