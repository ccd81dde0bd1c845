//! The services of a cluster, whichever of KServe's kinds they are: what the projection asks of both.

use std::collections::BTreeMap;

use bridge_api::messages::ServedBy;
use cluster::kserve::ServiceKind;
use cluster::llm::{LlmInferenceService, ModelRole};
use cluster::watch::{ClusterSnapshot, ObservedInferenceService};
use jiff::Timestamp;
use model_catalog::links::ArtifactUrl;

use super::described::Reader;
use super::server::Server;
use crate::inventory::{SourceId, service_id};

/// A service of a cluster.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service<'a> {
    /// One model, of any framework.
    Inference(&'a ObservedInferenceService),
    /// A language model and its adapters.
    Llm(&'a LlmInferenceService),
}

/// A model that a service has beside its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adapter {
    pub(super) name: String,
    pub(super) artifact: Option<ArtifactUrl>,
    /// The model that it adapts.
    pub(super) base: String,
}

/// The prefixes under which annotations say what a registry's properties would.
const PREFIXES: [&str; 2] = ["modelcatalogbridge.rhdh.io/", "rhdh.io/"];

/// A property, as an annotation: its name in lower case and without spaces, behind one of the prefixes; a name that
/// has a prefix of its own is looked up as it is.
pub(super) fn annotation(annotations: &BTreeMap<String, String>, property: &str) -> Vec<String> {
    if property.contains('/') {
        return annotations.get(property).cloned().into_iter().collect();
    }
    let name = property.to_lowercase().replace(' ', "");
    PREFIXES.iter().filter_map(|prefix| annotations.get(&format!("{prefix}{name}")).cloned()).collect()
}

impl<'a> Service<'a> {
    /// All services of a cluster.
    pub(super) fn all(snapshot: &'a ClusterSnapshot) -> impl Iterator<Item = Self> {
        let llm = snapshot.llm_services.iter().map(|service| Self::Llm(service));
        snapshot.services.iter().map(Self::Inference).chain(llm)
    }

    pub(super) fn kind(self) -> ServiceKind {
        match self {
            Self::Inference(_) => ServiceKind::InferenceService,
            Self::Llm(_) => ServiceKind::LlmInferenceService,
        }
    }

    pub(super) fn namespace(self) -> &'a str {
        match self {
            Self::Inference(seen) => &seen.service.namespace,
            Self::Llm(service) => &service.namespace,
        }
    }

    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Inference(seen) => &seen.service.name,
            Self::Llm(service) => &service.name,
        }
    }

    pub(super) fn labels(self) -> &'a BTreeMap<String, String> {
        match self {
            Self::Inference(seen) => &seen.service.labels,
            Self::Llm(service) => &service.labels,
        }
    }

    pub(super) fn annotations(self) -> &'a BTreeMap<String, String> {
        match self {
            Self::Inference(seen) => &seen.service.annotations,
            Self::Llm(service) => &service.annotations,
        }
    }

    pub(super) fn problems(self) -> &'a [String] {
        match self {
            Self::Inference(seen) => &seen.service.problems,
            Self::Llm(service) => &service.problems,
        }
    }

    pub(super) fn created(self) -> Option<Timestamp> {
        match self {
            Self::Inference(seen) => seen.service.created,
            Self::Llm(service) => service.created,
        }
    }

    pub(super) fn not_ready_reason(self) -> Option<String> {
        match self {
            Self::Inference(seen) => seen.service.not_ready_reason(),
            Self::Llm(service) => service.not_ready_reason(),
        }
    }

    /// What diagnostics call it.
    pub(super) fn subject(self) -> String {
        format!("{} `{}/{}`", self.kind(), self.namespace(), self.name())
    }

    /// What it is remembered by: no other service of its cluster has the same.
    pub(super) fn id(self) -> (&'a str, String) {
        (self.namespace(), service_id(self.kind(), self.name()))
    }

    /// The service, as an entry remembers it.
    pub(super) fn served_by(self, cluster: &SourceId) -> ServedBy {
        let (namespace, name) = self.id();
        ServedBy { cluster: cluster.to_string(), namespace: namespace.to_owned(), name }
    }

    pub(super) fn server(self) -> Server {
        match self {
            Self::Inference(seen) => Server::of(seen),
            Self::Llm(service) => Server::of_llm(service),
        }
    }

    /// Where its model is stored.
    pub(super) fn artifact(self) -> Option<String> {
        match self {
            Self::Inference(seen) => {
                let model = &seen.service.model;
                let path = model.storage_path.as_deref().map(|path| path.trim_start_matches('/'));
                let path = path.filter(|path| !path.is_empty());
                model.storage_uri.clone().or_else(|| path.map(|path| format!("s3://{path}")))
            }
            Self::Llm(service) => service.served_models().first()?.uri.clone(),
        }
    }

    /// The framework of its model.
    pub(super) fn format(self) -> Option<&'a str> {
        match self {
            Self::Inference(seen) => seen.service.model.format.as_deref(),
            Self::Llm(_) => None,
        }
    }

    /// What its own model is called.
    pub(super) fn model_name(self) -> &'a str {
        match self {
            Self::Inference(seen) => &seen.service.name,
            Self::Llm(service) => service.served_models().first().map_or(&service.name, |model| &model.name),
        }
    }

    /// The models that it has beside its own.
    pub(super) fn adapters(self, reader: &mut Reader<'_, '_>) -> Vec<Adapter> {
        let Self::Llm(service) = self else { return Vec::new() };
        let adapters = service.served_models().iter().filter(|model| model.role == ModelRole::Adapter);
        let base = self.model_name();
        adapters
            .map(|model| Adapter {
                name: model.name.clone(),
                artifact: reader.artifact(model.uri.clone()),
                base: base.to_owned(),
            })
            .collect()
    }
}
