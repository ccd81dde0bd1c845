//! Kubernetes, as the bridge sees it: credentials, tolerant views of KServe and Route objects, discovery of model
//! registries, and watches that know how complete their knowledge is.

pub mod credentials;
pub mod discovery;
pub mod kserve;
pub mod llm;
pub mod owned;
pub mod probe;
pub mod routes;
pub mod watch;

mod label;
mod presence;
mod request;
mod reviews;

pub use credentials::{
    Cluster, ClusterSettings, ContextName, CredentialsError, Environment, connect, connect_all, connect_all_with,
    connect_with,
};
pub use discovery::{Discovery, DiscoveryError, Endpoint, EndpointKind, FoundBy, discover_registries, resolve_routes};
pub use kserve::{InferenceService, ParseError, ServiceKind};
pub use llm::LlmInferenceService;
pub use owned::{OwnedService, OwnedServiceAccount};
pub use request::RequestError;
pub use reviews::ClusterReviewer;
pub use routes::{Route, find_backstage_route};
pub use watch::{
    ClusterSnapshot, ClusterWatch, KindState, Kinds, NamespaceAnnotations, ObservedInferenceService, Scope,
    WatchOptions,
};
