//! Programs that put a running system to the test.

fn main() {}
