//! The manifests in `deploy/`: what they grant is what the services need, what they name is there, and the kits' scripts do
//! what they say. Without kubectl these tests do nothing, and `make test` says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up should stop at once"
)]

mod containers;
mod initializer;
mod manifests;
mod names;
mod overrides;
mod reconcile;
mod registry_kit;
mod rights;
mod samples;
mod seed;
mod writable;
