//! WebSocket close codes: those of RFC 6455, section 7.4.1, that the gateway uses, and its own from 4400 on.
//!
//! 44xx: the client must change something before it reconnects, except 4408 and 4429. 45xx: reconnect with backoff and resume.

/// The process is shutting down.
pub const GOING_AWAY: u16 = 1001;
/// The process is restarting.
pub const RESTART: u16 = 1012;
/// A backend does not answer; try again later.
pub const TRY_AGAIN: u16 = 1013;
/// The client sent a frame that is not of this protocol: binary, or too large.
pub const BAD_FRAME: u16 = 4400;
/// The token is missing, invalid or expired.
pub const UNAUTHENTICATED: u16 = 4401;
/// The account is withdrawn or the session revoked.
pub const FORBIDDEN: u16 = 4403;
/// No `hello` frame within the time limit.
pub const NO_HELLO: u16 = 4408;
/// The client went over a limit repeatedly without waiting as told.
pub const TOO_MANY: u16 = 4429;
/// The reader is too slow; its queue overflowed.
pub const SLOW_READER: u16 = 4508;
/// The client did not answer a ping.
pub const NO_PONG: u16 = 4509;
