//! Results on standard output.

use std::io::Write;

/// Prints a result. A closed pipe, as with `head`, is not a failure.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}
