//! Why a virtual user failed, under the names that Artillery counts: `ECONNREFUSED`, `ETIMEDOUT`, or a sentence.

use std::{borrow::Cow, io};

/// Failure of a user: `errors.NAME` is counted once, and the user takes no further step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UserError(pub Cow<'static, str>);

impl UserError {
    /// A failure that needs no text made for it.
    #[must_use]
    pub const fn known(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Any other failure.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self(Cow::Owned(name))
    }

    /// Time was over.
    pub const TIMED_OUT: Self = Self::known("ETIMEDOUT");
    /// The connection was closed before the answer came.
    pub const RESET: Self = Self::known("ECONNRESET");
    /// A socket's answer did not come in time.
    pub const NO_RESPONSE: Self = Self::known("response timeout");
    /// A strict capture had no value, or a match did not match.
    pub const CAPTURE_OR_MATCH: Self = Self::known("Failed capture or match");
    /// A socket was closed before a message was sent.
    pub const NOT_OPEN: Self = Self::known("WebSocket is not open: readyState 3 (CLOSED)");
}

impl From<&io::Error> for UserError {
    fn from(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::known("ECONNREFUSED"),
            Kind::ConnectionReset | Kind::UnexpectedEof => Self::RESET,
            Kind::BrokenPipe => Self::known("EPIPE"),
            Kind::TimedOut => Self::TIMED_OUT,
            Kind::AddrNotAvailable => Self::known("EADDRNOTAVAIL"),
            Kind::HostUnreachable => Self::known("EHOSTUNREACH"),
            Kind::NetworkUnreachable => Self::known("ENETUNREACH"),
            _ if error.raw_os_error() == Some(24) => Self::known("EMFILE"),
            _ => Self::new(error.to_string()),
        }
    }
}

impl From<&hyper::Error> for UserError {
    fn from(error: &hyper::Error) -> Self {
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            if let Some(error) = cause.downcast_ref::<io::Error>() {
                return Self::from(error);
            }
            source = cause.source();
        }
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            Self::RESET
        } else {
            Self::new(error.to_string())
        }
    }
}
