//! A small in-memory Model Registry and Model Catalog over HTTP, for the demo and for tests.
//!
//! [`SampleRegistry`] is a handle that can be cloned freely; all clones share one state. Its edit methods do
//! what people do in a registry (create, update, archive), on a logical clock that a test can set, and
//! [`SampleRegistry::router`] serves the read side of the REST API with paging and ordering. [`Dialect`] makes it
//! behave like the servers in the field that follow the API less closely.

mod catalog;
mod edit;
mod http;
mod paging;
mod properties;
mod sample;
mod state;

pub use edit::{EditError, SampleRegistry};
pub use paging::Dialect;
pub use properties::{metadata, metadata_value};
pub use sample::{Loaded, SampleError};
pub use state::Kind;
