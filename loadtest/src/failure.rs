//! One error for everything that can go wrong in a test program: a sentence.

use std::{fmt, time::Duration};

/// What went wrong, for people. It takes in every other error, so that `?` works on all of them.
pub struct Failure(String);

/// The outcome of a step of a test program.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that says `what`.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

/// Says what was being done when something failed.
pub trait While<T> {
    /// Puts `doing` before the failure.
    ///
    /// # Errors
    /// The same failure.
    fn doing(self, doing: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: Into<Failure>> While<T> for Result<T, E> {
    fn doing(self, doing: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{doing}: {}", error.into())))
    }
}

/// Waits for `future`, but not longer than `limit`.
///
/// # Errors
/// When the time is over, saying what was awaited.
pub async fn within<T>(limit: Duration, awaited: impl fmt::Display, future: impl Future<Output = T>) -> Outcome<T> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| Failure(format!("{awaited}: not within {} ms", limit.as_millis())))
}

/// Fails the surrounding function unless the condition holds; the rest is what a person should read then.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::failure::Failure::new(format!($($message)+)));
        }
    };
}
