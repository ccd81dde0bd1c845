//! Services and ServiceAccounts as far as they belong to an InferenceService; all others are of no interest here.

use k8s_openapi::{
    api::core::v1::{Service, ServiceAccount, ServicePort},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use kube::core::PartialObjectMeta;

use crate::kserve::{self, InferenceService};

/// The InferenceService that owns an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the InferenceService, which is in the object's own namespace.
    pub name: String,
    /// Its uid; tells a service from an earlier one of the same name.
    pub uid: String,
}

impl Owner {
    fn of(metadata: &ObjectMeta) -> Option<Self> {
        let references = metadata.owner_references.as_deref().unwrap_or_default();
        let group = |api_version: &str| api_version.split_once('/').map(|(group, _)| group == kserve::GROUP);
        let owner = references
            .iter()
            .find(|owner| owner.kind == kserve::KIND && group(&owner.api_version).unwrap_or_default())?;
        Some(Self { name: owner.name.clone(), uid: owner.uid.clone() })
    }

    /// Whether this owner, seen on an object in `namespace`, is that service.
    pub fn is(&self, namespace: &str, service: &InferenceService) -> bool {
        let same_uid = self.uid.is_empty() || service.uid.is_empty() || self.uid == service.uid;
        namespace == service.namespace && self.name == service.name && same_uid
    }
}

/// A Service owned by an InferenceService.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedService {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The InferenceService that owns it.
    pub owner: Owner,
    /// Without a cluster address: clients reach the pods at the target port.
    pub headless: bool,
    /// Ports, in their order.
    pub ports: Vec<Port>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// The Service's own port.
    pub port: u16,
    /// The pods' port.
    pub target_port: Option<TargetPort>,
}

/// A port of a pod, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name that the container gives it.
    Name(String),
}

impl OwnedService {
    /// The Service, when an InferenceService owns it.
    pub fn of(service: &Service) -> Option<Self> {
        let owner = Owner::of(&service.metadata)?;
        let spec = service.spec.as_ref();
        let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        Some(Self {
            namespace: service.metadata.namespace.clone()?,
            name: service.metadata.name.clone()?,
            owner,
            headless: spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None"),
            ports: ports.iter().filter_map(Port::of).collect(),
        })
    }
}

impl Port {
    pub(crate) fn of(port: &ServicePort) -> Option<Self> {
        let target_port = port.target_port.as_ref().and_then(|target| match target {
            IntOrString::Int(number) => u16::try_from(*number).ok().filter(|n| *n > 0).map(TargetPort::Number),
            IntOrString::String(name) => Some(TargetPort::Name(name.clone())),
        });
        Some(Self { name: port.name.clone(), port: u16::try_from(port.port).ok()?, target_port })
    }
}

/// A ServiceAccount owned by an InferenceService: a sign that it asks for authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedServiceAccount {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The InferenceService that owns it.
    pub owner: Owner,
}

impl OwnedServiceAccount {
    /// The ServiceAccount, when an InferenceService owns it.
    pub fn of(account: &PartialObjectMeta<ServiceAccount>) -> Option<Self> {
        Some(Self {
            namespace: account.metadata.namespace.clone()?,
            name: account.metadata.name.clone()?,
            owner: Owner::of(&account.metadata)?,
        })
    }
}
