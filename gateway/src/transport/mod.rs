//! One connection on the wire: frames encoded once, a bounded outbound queue, and the WebSocket.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`encoded`] | encoded frames, and the buffer of frames to be written |
//! | [`frame`] | encoding of protocol frames |
//! | [`queue`] | the outbound queue: bounds, direct writes, overflow |
//! | [`socket`] | reading, pongs and the closing handshake |

pub mod encoded;
pub mod frame;
pub mod queue;
pub mod socket;
