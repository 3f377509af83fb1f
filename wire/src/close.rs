//! Why a connection was closed, beyond the codes of RFC 6455, section 7.4.1.

/// The process is shutting down.
pub const GOING_AWAY: u16 = 1001;
/// The process is restarting.
pub const RESTART: u16 = 1012;
/// A backend does not answer; try again later.
pub const TRY_AGAIN: u16 = 1013;
/// Not a frame of this protocol.
pub const BAD_FRAME: u16 = 4400;
/// The token is missing, invalid or expired.
pub const UNAUTHENTICATED: u16 = 4401;
/// The account is withdrawn or the session revoked.
pub const FORBIDDEN: u16 = 4403;
/// No hello in time.
pub const NO_HELLO: u16 = 4408;
/// Over a limit again and again.
pub const TOO_MANY: u16 = 4429;
/// The reader is too slow; its queue overflowed.
pub const SLOW_READER: u16 = 4508;
/// No pong.
pub const NO_PONG: u16 = 4509;
