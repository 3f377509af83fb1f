//! The REST service.
//!
//! One folder for each noun of the domain: `mod.rs` describes it, `endpoints.rs` is HTTP, `rules.rs` has pure
//! functions, `store.rs` has the SQL. Imports point down: endpoints, store, rules, model. Shared modules:
//!
//! | module | content |
//! | --- | --- |
//! | [`context`] | state shared by all endpoints |
//! | [`problem`] | every error code, and how an error becomes a response (RFC 9457) |
//! | [`input`] | strict request bodies and collected field errors |
//! | [`page`] | cursors and limits of lists |
//! | [`caller`] | authentication by access token |
//! | [`day`], [`calendar`] | calendar days, and a user's today |
//! | [`examples`] | examples of parameters, for the OpenAPI document |
//! | [`stream`] | streamed JSON documents |
//! | [`cors`] | cross-origin resource sharing |
//! | [`jobs`] | scheduled jobs |
//! | [`metrics`] | Prometheus metrics |
//! | [`server`] | routes, middleware, listening, stopping |

pub mod actions;
pub mod auth;
pub mod awards;
pub mod calendar;
pub mod caller;
pub mod comments;
pub mod context;
pub mod cors;
pub mod day;
pub mod demo;
mod docs;
pub mod examples;
pub mod feeds;
pub mod history;
mod idle_timeout;
pub mod input;
pub mod jobs;
pub mod likes;
pub mod me;
pub mod meetups;
mod metrics;
pub mod monsters;
mod no_content;
pub mod page;
pub mod places;
pub mod problem;
pub mod room;
pub mod routines;
pub mod server;
pub mod stream;
pub mod tags;
pub mod today;
pub mod workouts;

pub use server::{launch, openapi_document};
