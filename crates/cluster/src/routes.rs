//! OpenShift Routes: where a Service is reachable from outside. Clusters without the Route API simply have none.

use std::collections::BTreeMap;

use kube::{
    Api, Client,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;
use url::Url;

use crate::{
    presence::{CustomResource, served_version},
    request::{RequestError, bounded, list},
};

const VERSION: &str = "v1";
pub(crate) const ROUTES: CustomResource =
    CustomResource { group: "route.openshift.io", versions: &[VERSION], plural: "routes" };
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What the bridge reads of a Route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `status.ingress[0].host`: missing until a router admits the Route.
    pub host: Option<String>,
    /// `spec.path`
    pub path: Option<String>,
    /// How clients speak to it.
    pub transport: Transport,
    /// The Service behind it: `spec.to.name`.
    pub service: Option<String>,
}

/// Whether a Route terminates TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The Route has a `spec.tls`.
    Https,
    /// It has none.
    Http,
}

impl Route {
    /// Reads a Route; what is missing or of another type is left out.
    pub fn parse(object: &DynamicObject) -> Self {
        let text = |pointer: &str| {
            let value = object.data.pointer(pointer).and_then(Value::as_str).map(str::trim);
            value.filter(|value| !value.is_empty()).map(str::to_owned)
        };
        let tls = object.data.pointer("/spec/tls").is_some_and(|tls| !tls.is_null());
        let to_service = object.data.pointer("/spec/to/kind").and_then(Value::as_str).unwrap_or("Service") == "Service";
        Self {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
            labels: object.metadata.labels.clone().unwrap_or_default(),
            host: text("/status/ingress/0/host"),
            path: text("/spec/path"),
            transport: if tls { Transport::Https } else { Transport::Http },
            service: text("/spec/to/name").filter(|_| to_service),
        }
    }

    /// Its address, or what is wrong with it.
    pub fn url(&self) -> Result<Url, String> {
        let Some(host) = &self.host else {
            return Err("has no ingress host yet (status.ingress is empty: no router has admitted it)".to_owned());
        };
        let scheme = match self.transport {
            Transport::Https => "https",
            Transport::Http => "http",
        };
        let path = self.path.as_deref().unwrap_or_default();
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        let text = format!("{scheme}://{host}{slash}{path}");
        Url::parse(&text).map_err(|error| format!("has an address that is no URL, {text:?}: {error}"))
    }
}

fn api(client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(ROUTES.group, VERSION, "Route");
    let resource = ApiResource::from_gvk_with_plural(&kind, ROUTES.plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// One Route; `None` where there is none, or no Route API.
pub async fn get_route(client: &Client, namespace: &str, name: &str) -> Result<Option<Route>, RequestError> {
    let routes = api(client, Some(namespace));
    let what = format!("get Route {namespace}/{name}");
    match bounded(&what, routes.get(name)).await {
        Ok(found) => Ok(Some(Route::parse(&found))),
        Err(RequestError::NotFound { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Routes by label selector, sorted by namespace and name; of all namespaces when none is given. None without a Route API.
pub async fn list_routes(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<Route>, RequestError> {
    let parameters = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
    let what = match namespace {
        Some(namespace) => format!("list routes.route.openshift.io in namespace {namespace}"),
        None => "list routes.route.openshift.io in all namespaces".to_owned(),
    };
    let found = match list(&what, &api(client, namespace), &parameters).await {
        // Access is decided before existence: where there are no Routes, a missing right on them says nothing.
        Err(refusal @ (RequestError::NotFound { .. } | RequestError::Forbidden { .. })) => {
            return match served_version(client, &ROUTES).await? {
                None => Ok(Vec::new()),
                Some(_) => Err(refusal),
            };
        }
        found => found?,
    };
    let mut routes = found.iter().map(Route::parse).collect::<Vec<_>>();
    routes.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(routes)
}

/// The Route of Backstage in a namespace: the label `app.kubernetes.io/name` contains `backstage`. Of several, the
/// first by name that has a host.
pub async fn find_backstage_route(client: &Client, namespace: &str) -> Result<Option<Route>, RequestError> {
    let mut routes = list_routes(client, Some(namespace), Some(NAME_LABEL)).await?;
    routes.retain(|route| route.labels.get(NAME_LABEL).is_some_and(|name| name.contains("backstage")));
    let admitted = routes.iter().position(|route| route.host.is_some()).unwrap_or(0);
    Ok((!routes.is_empty()).then(|| routes.swap_remove(admitted)))
}
