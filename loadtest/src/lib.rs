//! A chat client that does what a good client does, and the programs that put a running system to the test with it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`client`] | the chat client: resume, backoff, resending, gap detection; and the bare connection below it |
//! | [`rest`] | the few REST calls that tests and load programs make |
//! | [`rest_load`] | measuring reads over REST |
//! | [`servers`] | `mingizuk`, Redis and MariaDB as child processes that end with their guard |
//! | [`system`] | a whole Mingizuk in production shape, and people who use it |
//! | [`bench`] | measuring: fan-out, idle connections, connecting, sending, starting |
//! | [`stress`] | breaking it on purpose and checking that nothing was lost |
//! | [`chat`] | chat under load: messages timed to every receiver, and what was lost, repeated or reordered |
//! | [`socket`] | the connection that costs the generator next to nothing |
//! | [`clock`] | time stamps that every process of the machine reads alike |
//! | [`output`] | live view, summary, comparison and HTML report of a run |
//! | [`process`] | processor time and memory of a process |
//! | [`proxy`] | a TCP proxy that cuts, freezes and refuses |
//! | [`failure`] | one error for everything that can go wrong in a test program |
//! | [`script`] | scripts of Artillery: read, checked and compiled |
//! | [`engines`] | virtual users that talk HTTP, WebSocket and Socket.IO |
//! | [`runner`] | phases start users, and what they record becomes the report |
//! | [`metrics`] | counters, rates and histograms of a load test, and its report |
//! | [`commands`] | `run`, `check` and `quick` |

pub mod bench;
pub mod chat;
pub mod client;
pub mod clock;
pub mod commands;
pub mod engines;
pub mod failure;
pub mod metrics;
pub mod output;
pub mod process;
pub mod proxy;
pub mod rest;
pub mod rest_load;
pub mod runner;
pub mod script;
pub mod servers;
pub mod socket;
pub mod stress;
pub mod system;
