//! Kubeflow Model Registry and Model Catalog over REST: paged streams of typed records.
//!
//! [`RegistryClient`] and [`CatalogClient`] read lists page by page ([`Pages`]) until the server says that there is no
//! more. A page is either read whole or is an error ([`RegistryError`]): a caller that reaches the end of a list knows
//! that it was complete. A single malformed record does not fail its page; it comes as a [`RecordError`] beside the good
//! ones, because a list with an odd record in it is still proof that nothing else is missing. [`RegistryClient`] also writes, one
//! resource at a time, for those that fill a registry.

pub mod catalog;
mod changes;
mod endpoint;
pub mod error;
pub mod pages;
pub mod properties;
pub mod records;
pub mod registry;
mod write;

pub use bearer::TokenSource;
pub use catalog::{CatalogClient, CatalogModel, CatalogSource};
pub use changes::Changes;
pub use endpoint::Patience;
pub use error::{Failure, Peer, RegistryError};
pub use pages::{ListQuery, Listing, OrderBy, Page, Pages, SortOrder};
pub use properties::{Properties, PropertyValue};
pub use records::{
    InferenceServiceRecord, ModelArtifact, ModelSource, ModelVersion, RawRecord, Record, RecordError, RegisteredModel,
    ServingEnvironment, State,
};
pub use registry::RegistryClient;
