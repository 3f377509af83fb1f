//! Reading a client's frame: `cargo +nightly fuzz run command`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| gateway::commands::request::check_decoding(text));
