//! The kinds that are watched, and what is kept of their objects.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Namespace, Service, ServiceAccount},
};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
};
use serde::de::DeserializeOwned;

use crate::{
    kserve::{self, InferenceService, ParseError},
    llm::{self, LlmInferenceService},
    owned::{OwnedService, OwnedServiceAccount},
    presence::CustomResource,
};

/// What to do where a list of the whole cluster is refused from the start.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    /// Watch the given namespaces, one by one.
    ByNamespace,
    /// Do without, which means this.
    DoWithout(&'static str),
}

/// One kind of object, and what the bridge keeps of it.
pub(super) trait Watched: Send + Sync + 'static {
    /// As the API server gives it: all of it, or its metadata alone.
    type Object: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static;
    /// As it is kept.
    type Kept: PartialEq + Send + Sync + 'static;
    /// Resource name, as RBAC rules write it.
    const RESOURCE: &str;
    /// The custom resource, when the kind may be missing from a cluster.
    const CUSTOM: Option<CustomResource> = None;
    const REFUSED: Refused = Refused::ByNamespace;
    /// Whether `ClusterSnapshot::complete_lists` tells of this kind: entries are made of it.
    const COUNTED: bool = false;

    /// `version` is one of `CUSTOM`'s.
    fn api(client: &Client, version: &str, namespace: Option<&str>) -> Api<Self::Object>;
    /// `None`: not one of ours.
    fn keep(object: Self::Object) -> Option<Self::Kept>;
}

pub(super) struct InferenceServices;

impl Watched for InferenceServices {
    type Object = DynamicObject;
    type Kept = Result<Arc<InferenceService>, ParseError>;
    const RESOURCE: &str = "inferenceservices.serving.kserve.io";
    const CUSTOM: Option<CustomResource> =
        Some(CustomResource { group: kserve::GROUP, versions: &[kserve::VERSION], plural: kserve::PLURAL });
    const COUNTED: bool = true;

    fn api(client: &Client, version: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        of_kserve(client, version, (kserve::KIND, kserve::PLURAL), namespace)
    }

    fn keep(object: DynamicObject) -> Option<Self::Kept> {
        Some(InferenceService::parse(object).map(Arc::new))
    }
}

pub(super) struct LlmInferenceServices;

impl Watched for LlmInferenceServices {
    type Object = DynamicObject;
    type Kept = Result<Arc<LlmInferenceService>, ParseError>;
    const RESOURCE: &str = "llminferenceservices.serving.kserve.io";
    const CUSTOM: Option<CustomResource> =
        Some(CustomResource { group: kserve::GROUP, versions: llm::VERSIONS, plural: llm::PLURAL });
    const COUNTED: bool = true;

    fn api(client: &Client, version: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        of_kserve(client, version, (llm::KIND, llm::PLURAL), namespace)
    }

    fn keep(object: DynamicObject) -> Option<Self::Kept> {
        Some(LlmInferenceService::parse(object).map(Arc::new))
    }
}

pub(super) struct Services;

impl Watched for Services {
    type Object = Service;
    type Kept = OwnedService;
    const RESOURCE: &str = "services";

    fn api(client: &Client, _: &str, namespace: Option<&str>) -> Api<Service> {
        everywhere_or(client, namespace)
    }

    fn keep(object: Service) -> Option<OwnedService> {
        OwnedService::of(&object)
    }
}

pub(super) struct ServiceAccounts;

impl Watched for ServiceAccounts {
    type Object = PartialObjectMeta<ServiceAccount>;
    type Kept = OwnedServiceAccount;
    const RESOURCE: &str = "serviceaccounts";

    fn api(client: &Client, _: &str, namespace: Option<&str>) -> Api<Self::Object> {
        everywhere_or(client, namespace)
    }

    fn keep(object: Self::Object) -> Option<OwnedServiceAccount> {
        OwnedServiceAccount::of(&object)
    }
}

/// Prefixes of the annotations that are meant for the bridge.
const OURS: [&str; 2] = ["rhdh.io/", "modelcatalogbridge.rhdh.io/"];

pub(super) struct Namespaces;

/// A namespace that has annotations for the bridge.
#[derive(Debug, PartialEq)]
pub(super) struct AnnotatedNamespace {
    pub(super) name: String,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Watched for Namespaces {
    type Object = PartialObjectMeta<Namespace>;
    type Kept = AnnotatedNamespace;
    const RESOURCE: &str = "namespaces";
    const REFUSED: Refused = Refused::DoWithout("annotations of namespaces are not used");

    fn api(client: &Client, _: &str, _: Option<&str>) -> Api<Self::Object> {
        Api::all(client.clone())
    }

    fn keep(object: Self::Object) -> Option<AnnotatedNamespace> {
        let mut annotations = object.metadata.annotations.unwrap_or_default();
        annotations.retain(|key, _| OURS.iter().any(|prefix| key.starts_with(prefix)));
        (!annotations.is_empty()).then_some(AnnotatedNamespace { name: object.metadata.name?, annotations })
    }
}

fn of_kserve(
    client: &Client,
    version: &str,
    (kind, plural): (&str, &str),
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(kserve::GROUP, version, kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, plural);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn everywhere_or<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
