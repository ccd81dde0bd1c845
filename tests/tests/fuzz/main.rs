//! What comes from outside, changed at random ([`testkit::fuzz`]): no parser may panic, and what is taken keeps the rules.
//! Parsers that are their crate's own business are fuzzed there, in tests called `fuzz`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

mod parsers;
mod projection;
#[allow(dead_code, unreachable_pub, reason = "shared with the projection's own tests")]
#[path = "../../../crates/normalizer/tests/projection/support.rs"]
mod support;
