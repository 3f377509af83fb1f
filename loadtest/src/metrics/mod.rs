//! Metrics of a load test: counters, rates and HDR histograms, in periods of ten seconds and for each phase.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`report`] | the report file: keys and shape of Artillery's, read and written |
//! | [`histogram`] | distribution of a value, 0.1 % relative accuracy |
//! | [`window`] | counters, rates and histograms of one stretch of time |
//! | [`recorder`] | where virtual users record; sharded, so that they do not wait for each other |
//! | [`collector`] | windows become periods, phases and the aggregate |
//! | [`deliveries`] | stamps of chat messages: latency, loss, duplicates, reordering |

pub mod collector;
pub mod deliveries;
pub mod histogram;
pub mod recorder;
pub mod report;
pub mod window;

pub use collector::Collector;
pub use histogram::Histogram;
pub use recorder::Recorder;
pub use report::{CheckResult, Period, PhaseFigures, Report, RunInfo, Summary};
pub use window::Window;
