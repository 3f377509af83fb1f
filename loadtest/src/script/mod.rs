//! Scripts of Artillery 2: read, checked and compiled before anything is sent.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`source`] | texts, places in them, and errors that show the line |
//! | [`node`], [`yaml`] | YAML and JSON as a tree with places, resolved as js-yaml 3 does |
//! | [`fields`] | reading the keys of a mapping; unknown ones are mistakes |
//! | [`template`], [`jsonpath`], [`expression`], [`duration`] | the small languages in scripts |
//! | [`plan`] | the compiled script |
//! | [`compiler`] | compiling its parts; [`config`], [`payload`], [`flow`], [`request`], [`messages`] add to it |
//! | [`load`] | files, flags and environment become a plan |

pub mod compiler;
pub mod config;
pub mod duration;
pub mod expression;
pub mod fields;
pub mod flow;
pub mod jsonpath;
pub mod load;
pub mod messages;
pub mod node;
pub mod payload;
pub mod plan;
pub mod request;
pub mod source;
pub mod template;
pub mod yaml;

pub use load::{Loaded, Options, load};
pub use plan::Plan;
