//! A chat client that does what a good client does, and the programs that put a running system to the test with it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`client`] | the chat client: resume, backoff, resending, gap detection; and the bare connection below it |
//! | [`rest`] | the few REST calls that tests and load programs make |
//! | [`servers`] | `mingizuk`, Redis and MariaDB as child processes that end with their guard |
//! | [`failure`] | one error for everything that can go wrong in a test program |

pub mod client;
pub mod failure;
pub mod rest;
pub mod servers;
