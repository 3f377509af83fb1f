//! HTML report: one file without references to anything outside it, light and dark, readable by a screen reader: every
//! chart has a title, a description and a table of its values.

mod chart;
mod page;
mod sections;

pub use page::page;

/// Text with what HTML takes for markup replaced.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
