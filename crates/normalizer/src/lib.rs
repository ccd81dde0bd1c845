//! Observes registries and clusters, projects them to catalog entries, publishes those to storage-rest.
//!
//! Data runs one way: [`observe`] fills the [`inventory`], [`project`] makes entries of it (pure), [`publish`] brings
//! storage in step with them. [`engine`] is the loop around the three, and [`run`] assembles it all.

pub mod clusters;
pub mod engine;
pub mod hold;
pub mod inventory;
pub mod labels;
pub mod metrics;
pub mod observe;
pub mod project;
pub mod publish;
pub mod settings;
pub mod sources;
pub mod status;

mod run;

pub use run::{access, observe, projection_settings, run, start};
pub use settings::Settings;
