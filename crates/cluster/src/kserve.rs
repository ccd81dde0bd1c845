//! A tolerant, typed view of KServe's InferenceService: what the bridge publishes of one, and whether it serves.
//! Unknown fields are ignored; an object that cannot be read is an error of that object alone.

pub(crate) mod schema;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use kube::core::{DynamicObject, ObjectMeta};
use serde::de::DeserializeOwned;
use url::Url;

use schema::{Spec, Status};

/// API group of KServe.
pub const GROUP: &str = "serving.kserve.io";
/// The only served version of InferenceService.
pub const VERSION: &str = "v1beta1";
/// Kind of an InferenceService.
pub const KIND: &str = "InferenceService";
/// Resource name of InferenceServices.
pub const PLURAL: &str = "inferenceservices";
/// Annotation by which a user stops a service.
pub const STOP_ANNOTATION: &str = "serving.kserve.io/stop";

/// The kinds of KServe that serve models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    /// Any model, by a predictor.
    InferenceService,
    /// A language model, with its adapters.
    LlmInferenceService,
}

impl ServiceKind {
    /// As `kind` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InferenceService => KIND,
            Self::LlmInferenceService => crate::llm::KIND,
        }
    }
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An object of the cluster that could not be read. It exists all the same: it must not count as gone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{kind} {namespace}/{name}: {reason}")]
pub struct ParseError {
    /// Which kind of object it is.
    pub kind: ServiceKind,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// What could not be read.
    pub reason: String,
}

/// What the bridge knows of one InferenceService.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceService {
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
    /// What is served.
    pub model: PredictorModel,
    /// `status.conditions`, by type.
    pub conditions: Vec<Condition>,
    /// `status.url`
    pub url: Option<Url>,
    /// `status.address.url`
    pub address_url: Option<Url>,
    /// `status.components`, by name (`predictor`, `transformer`, `explainer`).
    pub components: BTreeMap<String, ComponentUrls>,
    /// `status.modelStatus`
    pub model_status: Option<ModelStatus>,
    /// Values that were left out because they are not valid.
    pub problems: Vec<String>,
}

/// The model of a predictor: of `spec.predictor.model`, or of the one legacy framework key that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PredictorModel {
    /// `modelFormat.name`, or the legacy framework's name.
    pub format: Option<String>,
    /// `modelFormat.version`
    pub format_version: Option<String>,
    /// `runtime`
    pub runtime: Option<String>,
    /// `protocolVersion`
    pub protocol_version: Option<String>,
    /// `storageUri`
    pub storage_uri: Option<String>,
    /// `storage.key`
    pub storage_key: Option<String>,
    /// `storage.path`
    pub storage_path: Option<String>,
}

/// One of `status.conditions`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// `type`
    pub kind: String,
    /// `True`, `False` or `Unknown`
    pub status: String,
    /// Why, in one word.
    pub reason: Option<String>,
    /// Why, in a sentence.
    pub message: Option<String>,
}

impl Condition {
    pub(crate) fn is_true(&self) -> bool {
        self.status.eq_ignore_ascii_case("true")
    }

    pub(crate) fn describe(&self) -> String {
        match self.reason.as_ref().or(self.message.as_ref()) {
            Some(why) => format!("{}={} {why}", self.kind, self.status),
            None => format!("{}={}", self.kind, self.status),
        }
    }
}

/// Addresses of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComponentUrls {
    /// `url`
    pub url: Option<Url>,
    /// `restUrl`
    pub rest_url: Option<Url>,
    /// `grpcUrl`, which often has no scheme.
    pub grpc_url: Option<String>,
}

/// `status.modelStatus`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    /// `UpToDate`, `InProgress`, `BlockedByFailedLoad` or `InvalidSpec`.
    pub transition: Option<String>,
    /// `lastFailureInfo.reason`
    pub failure_reason: Option<String>,
    /// `lastFailureInfo.message`
    pub failure_message: Option<String>,
}

impl InferenceService {
    /// Reads an object as the API server gives it.
    pub fn parse(object: DynamicObject) -> Result<Self, ParseError> {
        let parts = Parts::<Spec, Status>::read(ServiceKind::InferenceService, object)?;
        let Parts { namespace, name, metadata, spec, status } = parts;
        let mut problems = Vec::new();
        let model = spec.and_then(|spec| spec.predictor).map(|found| found.into_model(&mut problems));
        Ok(Self {
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: annotations(metadata.annotations),
            created: metadata.creation_timestamp.map(|time| time.0),
            deleted: metadata.deletion_timestamp.map(|time| time.0),
            model: model.unwrap_or_default(),
            url: status.url(&mut problems),
            address_url: status.address_url(&mut problems),
            components: status.component_urls(&mut problems),
            model_status: status.model_status(),
            conditions: status.into_conditions(),
            problems,
            namespace,
            name,
        })
    }

    /// Reads a manifest or a recorded answer.
    pub fn from_json(value: serde_json::Value) -> Result<Self, ParseError> {
        object_from_json(ServiceKind::InferenceService, value).and_then(Self::parse)
    }

    /// Whether the service serves its model now.
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
        // The parts before the sum: `Ready` only repeats what one of its parts says better.
        let failing = ["PredictorReady", "IngressReady", "Ready"]
            .iter()
            .filter_map(|kind| self.condition(kind))
            .find(|condition| !condition.is_true());
        if let Some(condition) = failing {
            return Some(condition.describe());
        }
        if self.condition("Ready").is_none() {
            return Some("Ready=Unknown (no such condition yet)".to_owned());
        }
        self.model_not_loaded()
    }

    fn model_not_loaded(&self) -> Option<String> {
        let status = self.model_status.as_ref()?;
        let transition = status.transition.as_deref().filter(|transition| *transition != "UpToDate")?;
        match status.failure_reason.as_ref().or(status.failure_message.as_ref()) {
            Some(why) => Some(format!("transitionStatus={transition} {why}")),
            None => Some(format!("transitionStatus={transition}")),
        }
    }

    /// A condition by its type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        condition(&self.conditions, kind)
    }
}

/// A condition by its type, of either kind of service.
pub(crate) fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

/// Whether the user stopped a service of either kind.
pub(crate) fn is_stopped(annotations: &BTreeMap<String, String>, conditions: &[Condition]) -> bool {
    let annotated = annotations.get(STOP_ANNOTATION).is_some_and(|value| value.trim() == "true");
    annotated || condition(conditions, "Stopped").is_some_and(Condition::is_true)
}

/// An object in its parts: its name is known, `spec` and `status` are of the right types.
pub(crate) struct Parts<S, T> {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Option<S>,
    pub(crate) status: T,
}

impl<S: DeserializeOwned, T: DeserializeOwned + Default> Parts<S, T> {
    pub(crate) fn read(kind: ServiceKind, object: DynamicObject) -> Result<Self, ParseError> {
        let DynamicObject { mut metadata, mut data, .. } = object;
        let namespace = metadata.namespace.take().unwrap_or_default();
        let name = metadata.name.take().unwrap_or_default();
        let fail = |reason: String| ParseError { kind, namespace: namespace.clone(), name: name.clone(), reason };
        if name.is_empty() {
            return Err(fail("metadata.name is missing".to_owned()));
        }
        let spec =
            serde_json::from_value(section(&mut data, "spec")).map_err(|error| fail(format!("spec: {error}")))?;
        let status: Option<T> =
            serde_json::from_value(section(&mut data, "status")).map_err(|error| fail(format!("status: {error}")))?;
        Ok(Self { metadata, spec, status: status.unwrap_or_default(), namespace, name })
    }
}

/// A manifest or a recorded answer as an object; an error names it as far as it can be told.
pub(crate) fn object_from_json(kind: ServiceKind, value: serde_json::Value) -> Result<DynamicObject, ParseError> {
    let text = |field: &str| {
        let found = value.pointer(&format!("/metadata/{field}")).and_then(serde_json::Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let (namespace, name) = (text("namespace"), text("name"));
    serde_json::from_value(value).map_err(|error| ParseError { kind, namespace, name, reason: error.to_string() })
}

/// Annotations without kubectl's copy of the manifest.
pub(crate) fn annotations(found: Option<BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut annotations = found.unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations
}

fn section(data: &mut serde_json::Value, name: &str) -> serde_json::Value {
    data.get_mut(name).map(serde_json::Value::take).unwrap_or_default()
}
