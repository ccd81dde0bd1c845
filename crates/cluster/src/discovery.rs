//! Finds model registries and catalogs in a cluster: by labelled Services first, else by labelled Routes. What was
//! found but cannot be used is a problem with a name, so that it never looks like absence.

mod address;
mod listing;

use kube::Client;
use url::Url;

use crate::{
    credentials::Cluster,
    request::RequestError,
    routes::{Route, Transport, get_route},
};

pub use listing::Reach;
use listing::{MODEL_REGISTRIES, RegistryService, everywhere};

/// What discovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Model registries, by namespace and name.
    pub registries: Vec<Endpoint>,
    /// Model catalogs, by namespace and name.
    pub catalogs: Vec<Endpoint>,
    /// What is there but cannot be used, or could not be read.
    pub problems: Vec<Problem>,
    /// Which Services were read.
    pub services_read: Reach,
    /// Which Routes were read.
    pub routes_read: Reach,
}

/// A registry or a catalog, and its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Namespace of the Service or Route.
    pub namespace: String,
    /// Name of the Service or Route.
    pub name: String,
    /// What answers there.
    pub kind: EndpointKind,
    /// Base address, with the path where a gateway needs one.
    pub url: Url,
    /// How it was found.
    pub found_by: FoundBy,
}

/// What answers at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointKind {
    /// A model registry.
    Registry,
    /// A model catalog.
    Catalog,
}

/// How an endpoint was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundBy {
    /// By a Service's label.
    Service,
    /// By a Route.
    Route,
}

/// Something that keeps discovery from being complete.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{subject}: {message}")]
pub struct Problem {
    /// What it concerns.
    pub subject: Subject,
    /// What is wrong, and what helps.
    pub message: String,
}

/// What a problem concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// This endpoint exists but cannot be used.
    Endpoint {
        /// Its namespace; empty when a configured Route named none.
        namespace: String,
        /// Its name.
        name: String,
        /// What it is.
        kind: EndpointKind,
    },
    /// These objects could not be read, so any number of endpoints may be among them.
    Unread(String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Endpoint { namespace, name, .. } if namespace.is_empty() => formatter.write_str(name),
            Self::Endpoint { namespace, name, .. } => write!(formatter, "{namespace}/{name}"),
            Self::Unread(what) => formatter.write_str(what),
        }
    }
}

/// Discovery as a whole failed: nothing is known, least of all that something is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The API server did not answer as needed.
    #[error("cannot discover model registries: {0}; or name them with MR_URL or MR_ROUTE")]
    Request(#[from] RequestError),
    /// An entry of MR_ROUTE is neither `name` nor `namespace:name`.
    #[error("MR_ROUTE: {0:?} is neither `name` nor `namespace:name`")]
    InvalidRoute(String),
}

impl Discovery {
    /// Whether everything was read and everything found can be used.
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether this discovery shows that an endpoint of an earlier one is gone, as opposed to unreadable or unusable.
    pub fn proves_absent(&self, endpoint: &Endpoint) -> bool {
        let same = |namespace: &str, name: &str, kind: EndpointKind| {
            kind == endpoint.kind && namespace == endpoint.namespace && name == endpoint.name
        };
        let listed = self.endpoints().any(|found| same(&found.namespace, &found.name, found.kind));
        let troubled = self.problems.iter().any(|problem| match &problem.subject {
            Subject::Endpoint { namespace, name, kind } => same(namespace, name, *kind),
            Subject::Unread(_) => false,
        });
        let read = match endpoint.found_by {
            FoundBy::Service => self.services_read.covers(&endpoint.namespace),
            FoundBy::Route => self.routes_read.covers(&endpoint.namespace) || self.has_service_endpoint(endpoint.kind),
        };
        read && !listed && !troubled
    }

    /// Registries and catalogs.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.registries.iter().chain(&self.catalogs)
    }

    fn has_service_endpoint(&self, kind: EndpointKind) -> bool {
        self.endpoints().any(|found| found.kind == kind && found.found_by == FoundBy::Service)
    }

    fn add(&mut self, namespace: &str, name: &str, kind: EndpointKind, found_by: FoundBy, url: Result<Url, String>) {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        match url {
            Ok(url) => {
                let endpoint = Endpoint { namespace, name, kind, url, found_by };
                match kind {
                    EndpointKind::Registry => self.registries.push(endpoint),
                    EndpointKind::Catalog => self.catalogs.push(endpoint),
                }
            }
            Err(message) => {
                let subject = Subject::Endpoint { namespace, name, kind };
                self.problems.push(Problem { subject, message });
            }
        }
    }

    fn sorted(mut self) -> Self {
        self.registries.sort();
        self.catalogs.sort();
        self.problems.sort();
        self
    }
}

impl EndpointKind {
    /// By the name of a Route: the operator gives a catalog's Route this name.
    fn of_route(name: &str) -> Self {
        if name.starts_with("model-catalog") { Self::Catalog } else { Self::Registry }
    }
}

/// Finds the registries and catalogs of a cluster.
pub async fn discover_registries(cluster: &Cluster) -> Result<Discovery, DiscoveryError> {
    let mut discovery = Discovery::default();
    let services = everywhere::<RegistryService>(&cluster.client, &cluster.namespace).await?;
    discovery.services_read = services.reach;
    discovery.problems.extend(services.problems);
    for service in &services.items {
        let url = service.url(cluster.in_cluster);
        discovery.add(&service.namespace, &service.name, service.kind, FoundBy::Service, url);
    }
    let missing = [EndpointKind::Registry, EndpointKind::Catalog]
        .into_iter()
        .filter(|kind| !discovery.has_service_endpoint(*kind))
        .collect::<Vec<_>>();
    if !missing.is_empty() || !discovery.problems.is_empty() {
        add_routes(cluster, &mut discovery, &missing).await?;
    }
    Ok(discovery.sorted())
}

/// Routes serve for the kinds that no Service gave, and for Services without an address of their own.
async fn add_routes(
    cluster: &Cluster,
    discovery: &mut Discovery,
    missing: &[EndpointKind],
) -> Result<(), DiscoveryError> {
    let routes = match everywhere::<Route>(&cluster.client, &cluster.namespace).await {
        Ok(routes) => routes,
        // The Services gave something to work with; what the Routes would add is unknown.
        Err(error) if !discovery.registries.is_empty() => {
            discovery
                .problems
                .push(Problem { subject: Subject::Unread("Routes".to_owned()), message: error.to_string() });
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    discovery.routes_read = routes.reach;
    discovery.problems.extend(routes.problems);
    for route in rest_routes(&routes.items) {
        let behind = route.service.as_deref().and_then(|service| take_troubled(discovery, route, service));
        let kind = behind.as_ref().map_or_else(|| EndpointKind::of_route(&route.name), |(_, kind)| *kind);
        if behind.is_some() || missing.contains(&kind) {
            let name = behind.map_or_else(|| route.name.clone(), |(name, _)| name);
            discovery.add(
                &route.namespace,
                &name,
                kind,
                FoundBy::Route,
                route.url().map_err(|why| format!("Route {why}")),
            );
        }
    }
    Ok(())
}

/// Without gRPC, and of several Routes for one address the one with TLS.
fn rest_routes(routes: &[Route]) -> Vec<&Route> {
    let rest = || routes.iter().filter(|route| !route.name.ends_with("-grpc"));
    let doubled = |route: &Route| {
        route.transport == Transport::Http
            && route.host.is_some()
            && rest().any(|other| {
                other.transport == Transport::Https && other.host == route.host && other.path == route.path
            })
    };
    rest().filter(|route| !doubled(route)).collect()
}

/// A labelled Service without a usable address of its own is reached by its Route, and keeps its name.
fn take_troubled(discovery: &mut Discovery, route: &Route, service: &str) -> Option<(String, EndpointKind)> {
    let at = discovery.problems.iter().position(|problem| match &problem.subject {
        Subject::Endpoint { namespace, name, .. } => *namespace == route.namespace && name == service,
        Subject::Unread(_) => false,
    })?;
    match discovery.problems.swap_remove(at).subject {
        Subject::Endpoint { name, kind, .. } => Some((name, kind)),
        Subject::Unread(_) => None,
    }
}

/// Resolves the entries of `MR_ROUTE`, each `name` or `namespace:name`. A Route that is missing or has no host is a
/// problem of that entry.
pub async fn resolve_routes(cluster: &Cluster, entries: &[String]) -> Result<Discovery, DiscoveryError> {
    let mut discovery = Discovery::default();
    for entry in entries.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty()) {
        let (namespace, name) = match entry.split_once(':') {
            None => (None, entry),
            Some((namespace, name)) => (Some(namespace.trim()), name.trim()),
        };
        if name.is_empty() || name.contains([':', '/']) || namespace.is_some_and(|n| n.is_empty() || n.contains('/')) {
            return Err(DiscoveryError::InvalidRoute(entry.to_owned()));
        }
        let namespaces = match namespace {
            Some(namespace) => vec![namespace.to_owned()],
            None => candidates(cluster),
        };
        let kind = EndpointKind::of_route(name);
        match first_route(&cluster.client, &namespaces, name).await {
            Ok(route) => {
                let url = route.url().map_err(|why| format!("Route {why}"));
                discovery.add(&route.namespace, name, kind, FoundBy::Route, url);
            }
            Err(why) => discovery.add(namespace.unwrap_or_default(), name, kind, FoundBy::Route, Err(why)),
        }
    }
    Ok(discovery.sorted())
}

fn candidates(cluster: &Cluster) -> Vec<String> {
    let mut all = MODEL_REGISTRIES.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for name in ["istio-system", &cluster.namespace] {
        if !all.iter().any(|known| known == name) {
            all.push(name.to_owned());
        }
    }
    all
}

async fn first_route(client: &Client, namespaces: &[String], name: &str) -> Result<Route, String> {
    let mut forbidden = Vec::new();
    for namespace in namespaces {
        match get_route(client, namespace, name).await {
            Ok(Some(route)) => return Ok(route),
            Ok(None) => {}
            Err(RequestError::Forbidden { .. }) => forbidden.push(namespace.as_str()),
            Err(error) => return Err(error.to_string()),
        }
    }
    let looked = namespaces.join(", ");
    if forbidden.is_empty() {
        return Err(format!("MR_ROUTE: there is no Route {name} in {looked}"));
    }
    let unread = forbidden.join(", ");
    Err(format!("MR_ROUTE: no Route {name} was found in {looked}; the verb get on Routes is not granted in {unread}"))
}
