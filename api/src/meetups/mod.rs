//! Meetups: opening, searching, and membership.
//!
//! From the bottom up: `error.rs`, `row.rs`, `place.rs` and `terms.rs`; `model.rs` (what clients see) and `rules.rs`
//! (validation); `store.rs` (one meetup in SQL), `members.rs` (joining, waiting, leaving), `search.rs` on `grid.rs`;
//! `host.rs` and `cancel.rs` (what only the host does); `mine/` (lists of the caller's meetups); `endpoints.rs`.
//! Invariant: membership changes only under the lock of the meetup's row, so that no race admits more people than places.

pub mod cancel;
pub mod endpoints;
pub mod error;
pub mod grid;
pub mod host;
pub mod members;
pub mod mine;
pub mod model;
pub mod place;
pub mod row;
pub mod rules;
pub mod search;
pub mod store;
pub mod terms;
