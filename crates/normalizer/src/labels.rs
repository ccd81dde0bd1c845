//! What the labels of a service say of the model version that it serves.

use std::collections::{BTreeMap, BTreeSet};

use cluster::watch::ClusterSnapshot;

/// Older and newer controllers label with either.
const PREFIXES: [&str; 2] = ["modelregistry.opendatahub.io/", "modelregistry.kubeflow.org/"];
const MODEL: &str = "registered-model-id";

/// The labels of a service.
pub(crate) type Labels = BTreeMap<String, String>;

/// A model version as labels name one: by its ids in a registry that they need not name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedVersion {
    /// The registered model's id.
    pub model: String,
    /// The version's id.
    pub version: String,
}

impl NamedVersion {
    /// The version that these labels name, if they name one.
    pub(crate) fn of(labels: &Labels) -> Option<Self> {
        let (model, version) = (label(labels, MODEL)?, label(labels, "model-version-id")?);
        Some(Self { model: model.to_owned(), version: version.to_owned() })
    }

    /// All that the services of a cluster name.
    pub(crate) fn all(snapshot: &ClusterSnapshot) -> BTreeSet<Self> {
        let llm = snapshot.llm_services.iter().map(|service| &service.labels);
        snapshot.services.iter().map(|seen| &seen.service.labels).chain(llm).filter_map(Self::of).collect()
    }
}

/// What the registry is called that a service comes from, if its labels say so.
pub(crate) fn registry_name(labels: &Labels) -> Option<&str> {
    label(labels, "registry-name").or_else(|| label(labels, "name"))
}

/// Whether these labels say that a registry knows the service.
pub(crate) fn are_of_a_registry(labels: &Labels) -> bool {
    PREFIXES.iter().any(|prefix| labels.contains_key(&format!("{prefix}{MODEL}")))
}

fn label<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    let found = PREFIXES.iter().find_map(|prefix| labels.get(&format!("{prefix}{name}")));
    found.map(|value| value.trim()).filter(|value| !value.is_empty())
}
