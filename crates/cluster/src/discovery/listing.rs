//! Lists in all namespaces, or, where that is not permitted, in the namespaces where registries usually are.

use std::future::Future;

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client, api::ListParams};
use url::Url;

use super::{EndpointKind, Problem, Subject, address};
use crate::{
    owned::Port,
    request::{RequestError, list},
    routes::{Route, list_routes},
};

/// Where RHOAI and ODH put registries.
pub(super) const MODEL_REGISTRIES: [&str; 2] = ["rhoai-model-registries", "odh-model-registries"];

const SERVICE_SELECTOR: &str = "component in (model-registry,model-catalog)";
const ROUTE_SELECTOR: &str = "app.kubernetes.io/managed-by=model-registry-operator";

/// Which namespaces a list covered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// None: it was not asked for.
    #[default]
    Nothing,
    /// All of them.
    AllNamespaces,
    /// Only these, because a cluster-wide list is not permitted.
    Namespaces(Vec<String>),
}

impl Reach {
    /// Whether a namespace was read.
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::AllNamespaces => true,
            Self::Namespaces(read) => read.iter().any(|name| name == namespace),
        }
    }
}

pub(super) struct Listing<T> {
    pub(super) items: Vec<T>,
    pub(super) reach: Reach,
    pub(super) problems: Vec<Problem>,
}

pub(super) trait Listed: Sized {
    /// The plural, for messages.
    const WHAT: &str;
    fn list(client: &Client, namespace: Option<&str>) -> impl Future<Output = Result<Vec<Self>, RequestError>> + Send;
}

/// All namespaces, else those that may be read. Being refused everywhere is an error, not an empty answer.
pub(super) async fn everywhere<T: Listed>(client: &Client, own: &str) -> Result<Listing<T>, RequestError> {
    let refusal = match T::list(client, None).await {
        Ok(items) => return Ok(Listing { items, reach: Reach::AllNamespaces, problems: Vec::new() }),
        Err(refusal @ RequestError::Forbidden { .. }) => refusal,
        Err(other) => return Err(other),
    };
    let mut namespaces = MODEL_REGISTRIES.to_vec();
    if !namespaces.contains(&own) {
        namespaces.push(own);
    }
    let mut listing = Listing { items: Vec::new(), reach: Reach::Nothing, problems: Vec::new() };
    let mut read = Vec::new();
    for namespace in namespaces {
        match T::list(client, Some(namespace)).await {
            Ok(items) => {
                read.push(namespace.to_owned());
                listing.items.extend(items);
            }
            Err(error @ RequestError::Forbidden { .. }) => listing.problems.push(Problem {
                subject: Subject::Unread(format!("{} in namespace {namespace}", T::WHAT)),
                message: error.to_string(),
            }),
            Err(other) => return Err(other),
        }
    }
    if read.is_empty() {
        return Err(refusal);
    }
    listing.reach = Reach::Namespaces(read);
    Ok(listing)
}

/// A Service that the labels say is a registry or a catalog.
pub(super) struct RegistryService {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) kind: EndpointKind,
    external_address: Option<String>,
    ports: Vec<Port>,
}

impl RegistryService {
    fn of(service: Service) -> Option<Self> {
        let metadata = service.metadata;
        let kind = match metadata.labels.as_ref()?.get("component")?.as_str() {
            "model-registry" => EndpointKind::Registry,
            "model-catalog" => EndpointKind::Catalog,
            _ => return None,
        };
        let annotations = metadata.annotations.unwrap_or_default();
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        Some(Self {
            namespace: metadata.namespace?,
            name: metadata.name?,
            kind,
            external_address: annotations.get(address::ANNOTATION).cloned(),
            ports: ports.iter().filter_map(Port::of).collect(),
        })
    }

    pub(super) fn url(&self, in_cluster: bool) -> Result<Url, String> {
        let external = self.external_address.as_deref().map(str::trim).filter(|text| !text.is_empty());
        match external {
            Some(text) => address::external(text, &self.ports),
            None if in_cluster => address::internal(&self.namespace, &self.name, &self.ports),
            None => Err(format!(
                "Service has no annotation {} and the bridge runs outside the cluster; set MR_URL to an address that \
                 is reachable from here",
                address::ANNOTATION
            )),
        }
    }
}

impl Listed for RegistryService {
    const WHAT: &str = "Services";

    async fn list(client: &Client, namespace: Option<&str>) -> Result<Vec<Self>, RequestError> {
        let parameters = ListParams::default().labels(SERVICE_SELECTOR);
        let (services, what): (Api<Service>, _) = match namespace {
            Some(namespace) => {
                (Api::namespaced(client.clone(), namespace), format!("list services in namespace {namespace}"))
            }
            None => (Api::all(client.clone()), "list services in all namespaces".to_owned()),
        };
        let found = list(&what, &services, &parameters).await?;
        Ok(found.into_iter().filter_map(Self::of).collect())
    }
}

impl Listed for Route {
    const WHAT: &str = "Routes";

    async fn list(client: &Client, namespace: Option<&str>) -> Result<Vec<Self>, RequestError> {
        list_routes(client, namespace, Some(ROUTE_SELECTOR)).await
    }
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;

    #[test]
    fn fuzz() {
        let metadata = json!({
            "name": "registry", "namespace": "rhoai-model-registries", "labels": {"component": "model-registry"},
            "annotations": {(address::ANNOTATION): "registry.example.com:443/path"}
        });
        let ports =
            json!([{"name": "https-api", "port": 8443, "targetPort": "https"}, {"name": "http-api", "port": 8080}]);
        let service = json!({"metadata": metadata.clone(), "spec": {"ports": ports}}).to_string();
        let route = json!({
            "apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": metadata,
            "spec": {"path": "/a", "tls": {}, "to": {"kind": "Service", "name": "registry"}},
            "status": {"ingress": [{"host": "registry.example.com"}]}
        });
        testkit::fuzz::fuzz_seeds(
            "services-and-routes",
            &[service.as_bytes(), route.to_string().as_bytes()],
            |input| {
                let service = serde_json::from_slice::<Service>(input).ok().and_then(RegistryService::of);
                for url in service.iter().flat_map(|found| [found.url(true), found.url(false)]).flatten() {
                    assert!(matches!(url.scheme(), "http" | "https") && url.has_host(), "{url}");
                }
                if let Ok(object) = serde_json::from_slice::<DynamicObject>(input) {
                    let route = Route::parse(&object);
                    assert!(route.host.is_none_or(|host| !host.is_empty()));
                }
            },
        );
    }
}
