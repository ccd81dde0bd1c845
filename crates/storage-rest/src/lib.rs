//! Keeps catalog entries, hands them to location and tells Backstage.
//!
//! [`store`] is the truth: an upsert is answered once it is durable there. [`deliver`] makes location and Backstage
//! hold what the store holds, for as long as that takes; neither being down fails an upsert. [`api`] are the routes,
//! [`run`] puts all together.

pub mod api;
pub mod deliver;
pub mod metrics;
mod run;
pub mod settings;
pub mod store;

pub use run::{run, start};
pub use settings::{Settings, StorageType};
