//! Serves one immutable snapshot of the catalog entries to Backstage.
//!
//! Entries come from storage in two ways: it pushes each change, and this service loads all of storage once at its
//! start and compares itself with it at an interval ([`sync`]). Both end in a new [`snapshot`] that takes the place of the
//! one before, whole; readers ([`api`]) see one or the other. Until the first load is complete, readers get 503, because
//! to them a list that is too short means that models are gone.

pub mod api;
pub mod catalog;
pub mod metrics;
pub mod representation;
pub mod run;
pub mod settings;
mod shards;
pub mod snapshot;
pub mod sync;
mod ui;

pub use run::{run, start};
pub use service::Running;
pub use settings::Settings;
