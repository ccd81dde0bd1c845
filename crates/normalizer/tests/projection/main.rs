//! The projection, from what registries and clusters answer to what is published: fixtures as snapshots, the faults of
//! the Go bridge one by one, what the Go bridge really published, and properties that hold for any input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod faults;
mod fixtures;
mod properties;
mod recorded;
mod rules;
mod support;
mod wider;
mod worlds;
