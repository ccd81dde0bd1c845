//! What the InferenceServices of a cluster ask of the registry, by their labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use cluster::watch::ClusterSnapshot;
use cluster::{InferenceService, KindState};

/// Older and newer controllers label with either.
const PREFIXES: [&str; 2] = ["modelregistry.opendatahub.io/", "modelregistry.kubeflow.org/"];

const MODEL: &str = "registered-model-id";
const VERSION: &str = "model-version-id";
const RECORD: &str = "inference-service-id";

/// Custom properties of a record that say what it is a record of. By [`UID`] and [`CLUSTER`] it is known as ours.
pub(super) const UID: &str = "kserveUid";
pub(super) const CLUSTER: &str = "kserveCluster";
pub(super) const SERVICE: &str = "kserveService";

/// All properties that are written, and taken away when there is nothing to say any more.
pub(super) const OWN: [&str; 7] = ["url", "address", "modelFormat", "storageUri", UID, CLUSTER, SERVICE];

/// Which services are meant for this registry.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    /// What the registry is called.
    pub(super) name: Option<String>,
    /// Where it is.
    pub(super) namespace: Option<String>,
}

/// An InferenceService that says which registered model it serves.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) service: Arc<InferenceService>,
    /// The prefix of its labels.
    prefix: &'static str,
    /// The id of the registered model.
    pub(super) model: String,
    /// The id of the version.
    pub(super) version: Option<String>,
    /// The id of its record, if it knows.
    pub(super) record: Option<String>,
}

impl Wanted {
    /// The services of a cluster that are meant for this registry.
    pub(super) fn all(snapshot: &ClusterSnapshot, selection: &Selection) -> Vec<Self> {
        snapshot.services.iter().filter_map(|seen| Self::of(&seen.service, selection)).collect()
    }

    fn of(service: &Arc<InferenceService>, selection: &Selection) -> Option<Self> {
        let (prefix, model) =
            PREFIXES.into_iter().find_map(|prefix| Some((prefix, label(service, &[prefix], MODEL)?)))?;
        let any = |name: &str| label(service, &PREFIXES, name);
        let named = any("registry-name").or_else(|| any("name"));
        selects(selection.name.as_deref(), named)?;
        selects(selection.namespace.as_deref(), any("namespace"))?;
        Some(Self {
            prefix,
            model: model.to_owned(),
            version: any(VERSION).map(str::to_owned),
            record: any(RECORD).map(str::to_owned),
            service: Arc::clone(service),
        })
    }

    /// Namespace and name of the service, for messages.
    pub(super) fn at(&self) -> String {
        format!("{}/{}", self.service.namespace, self.service.name)
    }

    /// Whether it is being deleted.
    pub(super) fn is_going(&self) -> bool {
        self.service.deleted.is_some()
    }

    /// The label that names its record.
    pub(super) fn record_label(&self) -> String {
        format!("{}{RECORD}", self.prefix)
    }

    /// The label that names its model, for messages.
    pub(super) fn model_label(&self) -> String {
        format!("{}{MODEL}", self.prefix)
    }

    /// The label that names its version, for messages.
    pub(super) fn version_label(&self) -> String {
        format!("{}{VERSION}", self.prefix)
    }

    /// What its record is called, as the existing controller calls it.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.service.name, self.service.uid)
    }

    /// The properties of its record.
    pub(super) fn properties<'a>(&'a self, cluster: &'a str) -> BTreeMap<&'static str, &'a str> {
        let service = &self.service;
        let all = [
            ("url", service.url.as_ref().map(url::Url::as_str)),
            ("address", service.address_url.as_ref().map(url::Url::as_str)),
            ("modelFormat", service.model.format.as_deref()),
            ("storageUri", service.model.storage_uri.as_deref()),
            (UID, Some(service.uid.as_str())),
            (CLUSTER, Some(cluster)),
            (SERVICE, Some(service.name.as_str())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

fn label<'a>(service: &'a InferenceService, prefixes: &[&str], name: &str) -> Option<&'a str> {
    let found = prefixes.iter().find_map(|prefix| service.labels.get(&format!("{prefix}{name}")));
    found.map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// Nothing when a label says that another registry is meant.
fn selects(registry: Option<&str>, label: Option<&str>) -> Option<()> {
    match (registry, label) {
        (Some(registry), Some(label)) if registry != label => None,
        _ => Some(()),
    }
}

/// Whether a cluster's InferenceServices are known completely there, so that one of that name that is not listed is gone.
pub(super) fn is_complete(snapshot: &ClusterSnapshot, namespace: &str, name: &str) -> bool {
    let state = &snapshot.inference_services;
    let covered = *state == KindState::Absent || snapshot.scope.covers(namespace);
    let is_unreadable = snapshot.unreadable.iter().any(|error| error.namespace == namespace && error.name == name);
    state.is_current() && covered && !is_unreadable
}
