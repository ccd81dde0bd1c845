//! The bridge's real binaries against a real Backstage (`tests/backstage`). Without Node these tests do nothing, and
//! `make test` says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop at once"
)]

mod portal;
mod pull;
mod push;
mod sample;
mod techdocs;
mod validity;

// What the properties of the projection are held against, and how it is run there.
#[allow(dead_code, reason = "shared with the projection's own tests, which use all of it")]
#[path = "../../../crates/normalizer/tests/projection/support.rs"]
mod support;
#[path = "../../../crates/normalizer/tests/projection/worlds.rs"]
mod worlds;
