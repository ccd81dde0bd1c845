//! The harness of the whole-system tests: it starts the real binaries on free ports, against testkit's Kubernetes API
//! and scripted registries, and compares what location serves with what those hold.
//!
//! - [`Bridge`]: the three services as processes, their settings, their end (SIGTERM, SIGKILL) and their logs.
//! - [`Sources`]: the registries and the cluster of a test, and the truth that follows from them.
//! - [`Shown`]: what a reader learns from a document, the same for both formats.
//! - [`Backstage`]: a real one, where it is installed, and what it shows.
//! - [`Reader`]: Backstage, in short: reads list and documents all the time and notes what it must never see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "only tests use this crate, and a test that is set up wrongly should stop at once"
)]

mod backstage;
mod binaries;
mod bridge;
mod ports;
mod process;
mod reader;
mod shown;
mod sources;
mod storages;

pub use backstage::{Backstage, Shape, shown_by};
pub use binaries::binary;
pub use bridge::{Bridge, Kept, Program, Service};
pub use ports::port;
pub use process::{Process, Settings};
pub use reader::Reader;
pub use shown::{Shown, ShownServer};
pub use sources::{Sources, Version};
pub use storages::{EmptyStorage, StorageKind};

use std::time::Duration;

/// How long anything may take that happens at once on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

/// An HTTP client as plain as a reader's, without the bridge's own retries.
pub fn http() -> reqwest::Client {
    // Whoever comes second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap()
}
