//! Test-only peers: an in-memory Kubernetes API, a scripted registry, a scripted Backstage, a scripted GitHub and a
//! PostgreSQL server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "only tests use this crate, and a test that is set up wrongly should stop at once"
)]

pub mod backstage;
pub mod github;
pub mod kube;
pub mod postgres;
pub mod registry;
pub mod wait;

pub use wait::{Observation, eventually, free_port};
