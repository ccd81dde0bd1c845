//! A tolerant, typed view of KServe's LLMInferenceService: a base model with its LoRA adapters behind one server. Its
//! versions differ in what the bridge does not read, so one view serves all of them.

mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::core::DynamicObject;
use url::Url;

use crate::kserve::{Condition, ParseError, Parts, ServiceKind, annotations, condition, is_stopped, object_from_json};
use schema::{Spec, Status};

/// The versions that are read, the best first.
pub const VERSIONS: &[&str] = &["v1alpha2", "v1alpha1"];
/// Kind of an LLMInferenceService.
pub const KIND: &str = "LLMInferenceService";
/// Resource name of LLMInferenceServices.
pub const PLURAL: &str = "llminferenceservices";
/// Annotation by which a user switches authentication off.
pub const AUTH_ANNOTATION: &str = "security.opendatahub.io/enable-auth";

const GATEWAY_EXTERNAL: &str = "gateway-external";
const GATEWAY_INTERNAL: &str = "gateway-internal";
const INTERNAL: &str = "internal";

/// What the bridge knows of one LLMInferenceService.
#[derive(Debug, Clone, PartialEq)]
pub struct LlmInferenceService {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`; empty in a manifest.
    pub uid: String,
    /// `metadata.labels`
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`, without kubectl's copy of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.creationTimestamp`
    pub created: Option<Timestamp>,
    /// `metadata.deletionTimestamp`: set while the service is being deleted.
    pub deleted: Option<Timestamp>,
    /// The base model, then the LoRA adapters: never empty, no name twice.
    models: Vec<ServedModel>,
    /// `status.conditions`, by type.
    pub conditions: Vec<Condition>,
    /// `status.url`
    pub status_url: Option<Url>,
    /// `status.addresses`, then `status.address`, as far as they have a URL.
    pub addresses: Vec<LlmAddress>,
    /// Values that were left out because they are not valid.
    pub problems: Vec<String>,
}

/// A model that the server answers for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServedModel {
    /// What clients call it.
    pub name: String,
    /// Where it comes from, such as `hf://org/model`.
    pub uri: Option<String>,
    /// Base model or adapter.
    pub role: ModelRole,
}

/// What a served model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelRole {
    /// `spec.model`
    Base,
    /// One of `spec.model.lora.adapters`.
    Adapter,
}

/// One of `status.addresses`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmAddress {
    /// `gateway-external`, `gateway-internal` or `internal`; older versions name none.
    pub name: Option<String>,
    /// `url`
    pub url: Url,
    /// `models[].name`: what is served there.
    pub models: Vec<String>,
}

impl LlmAddress {
    fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Only within the cluster can `*.svc` and `*.cluster.local` be reached.
    fn is_cluster_local(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        host.ends_with(".cluster.local") || host.split('.').skip(2).any(|label| label == "svc")
    }
}

impl LlmInferenceService {
    /// Reads an object as the API server gives it, whatever its version.
    pub fn parse(object: DynamicObject) -> Result<Self, ParseError> {
        let parts = Parts::<Spec, Status>::read(ServiceKind::LlmInferenceService, object)?;
        let Parts { namespace, name, metadata, spec, mut status } = parts;
        let mut problems = Vec::new();
        let model = spec.and_then(|spec| spec.model).unwrap_or_default();
        Ok(Self {
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: annotations(metadata.annotations),
            created: metadata.creation_timestamp.map(|time| time.0),
            deleted: metadata.deletion_timestamp.map(|time| time.0),
            models: model.into_served(&name, &mut problems),
            status_url: status.url(&mut problems),
            addresses: status.addresses(&mut problems),
            conditions: status.into_conditions(),
            problems,
            namespace,
            name,
        })
    }

    /// Reads a manifest or a recorded answer.
    pub fn from_json(value: serde_json::Value) -> Result<Self, ParseError> {
        object_from_json(ServiceKind::LlmInferenceService, value).and_then(Self::parse)
    }

    /// The base model (`spec.model`; without a name of its own it has the service's), then the LoRA adapters.
    pub fn served_models(&self) -> &[ServedModel] {
        &self.models
    }

    /// Where clients reach the server: its external gateway, else `status.url`, else an address within the cluster.
    pub fn url(&self) -> Option<&Url> {
        let unnamed = || self.addresses.iter().find(|address| address.name.is_none() && !address.is_cluster_local());
        self.address(GATEWAY_EXTERNAL)
            .or(self.status_url.as_ref())
            .or_else(|| unnamed().map(|address| &address.url))
            .or_else(|| self.internal_url())
    }

    /// Where clients in the cluster reach it: its internal gateway, else the workload's own address.
    pub fn internal_url(&self) -> Option<&Url> {
        let unnamed = || self.addresses.iter().find(|address| address.name.is_none() && address.is_cluster_local());
        self.address(GATEWAY_INTERNAL)
            .or_else(|| self.address(INTERNAL))
            .or_else(|| unnamed().map(|address| &address.url))
    }

    fn address(&self, name: &str) -> Option<&Url> {
        self.addresses.iter().find(|address| address.is(name)).map(|address| &address.url)
    }

    /// Whether clients must authenticate: always, unless the user switched that off.
    pub fn authentication(&self) -> bool {
        !self.annotations.get(AUTH_ANNOTATION).is_some_and(|value| value.trim().eq_ignore_ascii_case("false"))
    }

    /// Whether the service serves its models now.
    pub fn ready(&self) -> bool {
        self.not_ready_reason().is_none()
    }

    /// Whether the user stopped it.
    pub fn stopped(&self) -> bool {
        is_stopped(&self.annotations, &self.conditions)
    }

    /// Why the service does not serve, in a few words; `None` when it does.
    pub fn not_ready_reason(&self) -> Option<String> {
        if self.deleted.is_some() {
            return Some("being deleted".to_owned());
        }
        if self.stopped() {
            return Some("stopped".to_owned());
        }
        let Some(ready) = self.condition("Ready") else {
            return Some("Ready=Unknown (no such condition yet)".to_owned());
        };
        (!ready.is_true()).then(|| self.failing_part().unwrap_or(ready).describe())
    }

    /// `Ready` is a sum that often only repeats what one of its parts says better. A part that failed tells more than
    /// one of which nothing is known yet.
    fn failing_part(&self) -> Option<&Condition> {
        let explained = |status: &str| {
            self.conditions.iter().find(|condition| {
                !matches!(condition.kind.as_str(), "Ready" | "Stopped")
                    && condition.status.eq_ignore_ascii_case(status)
                    && (condition.reason.is_some() || condition.message.is_some())
            })
        };
        explained("False").or_else(|| explained("Unknown"))
    }

    /// A condition by its type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        condition(&self.conditions, kind)
    }
}
