//! The kinds that are watched, and what is kept of their objects.

use std::{fmt::Debug, sync::Arc};

use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use kube::{
    Api, Client, Resource,
    core::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta},
};
use serde::de::DeserializeOwned;

use crate::{
    kserve::{self, InferenceService, ParseError},
    owned::{OwnedService, OwnedServiceAccount},
    presence::CustomResource,
};

/// One kind of object, and what the bridge keeps of it.
pub(super) trait Watched: Send + Sync + 'static {
    /// As the API server gives it.
    type Object: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static;
    /// As it is kept.
    type Kept: PartialEq + Send + Sync + 'static;
    /// Resource name, as RBAC rules write it.
    const RESOURCE: &str;
    /// The custom resource, when the kind may be missing from a cluster.
    const CUSTOM: Option<CustomResource>;

    fn api(client: &Client, namespace: Option<&str>) -> Api<Self::Object>;
    /// `None`: not one of ours.
    fn keep(object: Self::Object) -> Option<Self::Kept>;
}

pub(super) struct InferenceServices;

impl Watched for InferenceServices {
    type Object = DynamicObject;
    type Kept = Result<Arc<InferenceService>, ParseError>;
    const RESOURCE: &str = "inferenceservices.serving.kserve.io";
    const CUSTOM: Option<CustomResource> =
        Some(CustomResource { group: kserve::GROUP, version: kserve::VERSION, plural: kserve::PLURAL });

    fn api(client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(kserve::GROUP, kserve::VERSION, kserve::KIND);
        let resource = ApiResource::from_gvk_with_plural(&kind, kserve::PLURAL);
        match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        }
    }

    fn keep(object: DynamicObject) -> Option<Self::Kept> {
        Some(InferenceService::parse(object).map(Arc::new))
    }
}

pub(super) struct Services;

impl Watched for Services {
    type Object = Service;
    type Kept = OwnedService;
    const RESOURCE: &str = "services";
    const CUSTOM: Option<CustomResource> = None;

    fn api(client: &Client, namespace: Option<&str>) -> Api<Service> {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
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
    const CUSTOM: Option<CustomResource> = None;

    fn api(client: &Client, namespace: Option<&str>) -> Api<Self::Object> {
        match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    fn keep(object: Self::Object) -> Option<OwnedServiceAccount> {
        OwnedServiceAccount::of(&object)
    }
}
