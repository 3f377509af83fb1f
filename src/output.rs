//! Results on standard output.

use std::io::Write;

/// Prints a result. A reader that went away, such as `head`, is no reason to fail.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}
