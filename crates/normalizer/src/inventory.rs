//! What is known of the registries and clusters: the input of the projection, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bridge_api::messages::Origin;
use cluster::kserve::ServiceKind;
use cluster::watch::ClusterSnapshot;
use registry_client::records::{
    InferenceServiceRecord, ModelArtifact, ModelVersion, RegisteredModel, ServingEnvironment,
};
use serde::Serialize;

use crate::labels::NamedVersion;

/// A registry or a cluster, by a name that stays the same over restarts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SourceId(String);

impl SourceId {
    /// The registry of that name.
    pub fn registry(name: &str) -> Self {
        Self(format!("registry/{name}"))
    }

    /// The cluster of that name.
    pub fn cluster(name: &str) -> Self {
        Self(format!("cluster/{name}"))
    }

    /// The source of that text, as storage remembers it.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// What the source itself is called.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The text of this id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that was observed, by source. The contents are shared with the observers, so that a snapshot costs
/// nothing however large the registries are.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// What each registry holds.
    pub registries: BTreeMap<SourceId, Arc<RegistryContents>>,
    /// What each cluster serves.
    pub clusters: BTreeMap<SourceId, Arc<ClusterSnapshot>>,
    /// Entries that storage holds and of which nothing proves that they are gone, though no source shows them now:
    /// their sources were not read yet, or only in part. They keep their names, and so keep others from taking them.
    pub remembered: BTreeSet<Origin>,
    /// Whether registries are missing from this.
    pub unread_registries: Unread,
    /// Versions that labels of services name, and that registries may have got since they were read.
    pub unread_versions: BTreeSet<NamedVersion>,
    /// What served APIs said of themselves, by their URLs. One that was not asked yet is missing.
    pub served_apis: Arc<BTreeMap<String, ServedApi>>,
}

/// What a served API said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedApi {
    /// Its OpenAPI document.
    pub openapi: Option<Arc<str>>,
    /// The models that it lists.
    pub models: Option<Vec<String>>,
}

/// What stands before the name of a service of another kind than InferenceService: no name has a `/`.
const LLM_PREFIX: &str = "LLMInferenceService/";

/// What a service is remembered by, within its namespace: services of two kinds may have the same name.
pub fn service_id(kind: ServiceKind, name: &str) -> String {
    match kind {
        ServiceKind::InferenceService => name.to_owned(),
        ServiceKind::LlmInferenceService => format!("{LLM_PREFIX}{name}"),
    }
}

/// Kind and name of the service that is remembered by that id.
pub fn service_of_id(id: &str) -> (ServiceKind, &str) {
    match id.strip_prefix(LLM_PREFIX) {
        Some(name) => (ServiceKind::LlmInferenceService, name),
        None => (ServiceKind::InferenceService, id),
    }
}

/// Whether something is not known that should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Unread {
    /// All is known.
    #[default]
    None,
    /// What is not known was tried to be read, and may be unreadable for long.
    Failed,
    /// The first attempt is under way.
    Pending,
}

impl Inventory {
    /// Whether what is known proves that an entry is gone: its source was read completely without it, or shows that it
    /// was put away. A source that is not known at all proves nothing; whether it was given up is not decided here.
    pub fn proves_absent(&self, origin: &Origin) -> bool {
        let registry = self.registries.iter().find(|(source, _)| source.as_str() == origin.source);
        registry.is_some_and(|(_, contents)| contents.proves_absent(&origin.parent, &origin.child))
            || self.settles(&origin.source, &origin.parent, &origin.child)
    }

    /// Whether it is known what became of a service, given by its id: it is seen (and then it is shown, or is no entry
    /// because it is not ready or a registry claims it), or it is proven to be gone.
    pub fn settles(&self, cluster: &str, namespace: &str, id: &str) -> bool {
        let known = self.clusters.iter().find(|(source, _)| source.as_str() == cluster);
        known.is_some_and(|(_, snapshot)| {
            let (kind, name) = service_of_id(id);
            let here = |of: &str, called: &str| of == namespace && called == name;
            let seen = match kind {
                ServiceKind::InferenceService => {
                    snapshot.services.iter().any(|seen| here(&seen.service.namespace, &seen.service.name))
                }
                ServiceKind::LlmInferenceService => {
                    snapshot.llm_services.iter().any(|seen| here(&seen.namespace, &seen.name))
                }
            };
            seen || snapshot.proves_absent_of(kind, namespace, name)
        })
    }
}

/// Records of one kind by id. They are shared: what a read finds unchanged is held once, however many contents know it.
pub type Records<T> = BTreeMap<String, Arc<T>>;

/// What a registry holds, as of its last read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RegistryContents {
    /// What InferenceServices call this registry in their labels, where that is known.
    pub registry_name: Option<String>,
    /// Registered models by id, archived ones too.
    pub models: Records<RegisteredModel>,
    /// Model versions by id, archived ones too.
    pub versions: Records<ModelVersion>,
    /// The artifacts of each version that is shown, by the version's id.
    pub artifacts: BTreeMap<String, Vec<Arc<ModelArtifact>>>,
    /// The registry's own records of what is served, by id.
    pub inference_services: Records<InferenceServiceRecord>,
    /// Serving environments by id.
    pub serving_environments: Records<ServingEnvironment>,
    /// Model cards, as far as artifacts lead to one.
    pub cards: Cards,
    /// Whether all records of the last read could be read: only then does a missing one say that it is gone.
    pub complete: bool,
    /// Records that could not be read.
    pub problems: Vec<RecordProblem>,
}

impl RegistryContents {
    /// Whether these contents prove that a version is not shown any more.
    fn proves_absent(&self, model: &str, version: &str) -> bool {
        let archived = self.versions.get(version).is_some_and(|version| !version.state.is_live())
            || self.models.get(model).is_some_and(|model| !model.state.is_live());
        self.complete || archived
    }

    /// The version that labels name, if this is the registry that they mean.
    pub fn named(&self, named: &NamedVersion) -> Option<&ModelVersion> {
        let found = self.versions.get(&named.version)?;
        (found.registered_model_id == named.model).then_some(found)
    }

    /// The catalog entries that the artifacts of shown versions lead to.
    pub fn wanted_cards(&self) -> BTreeSet<CardRef> {
        self.artifacts.values().flatten().filter_map(|artifact| CardRef::of(artifact)).collect()
    }
}

/// Model cards by where they come from; `None` where the catalog has none.
pub type Cards = BTreeMap<CardRef, Option<Arc<str>>>;

/// Where a model came from: its entry in a model catalog.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardRef {
    /// The catalog source (`modelSourceClass`).
    pub source: String,
    /// The organisation (`modelSourceGroup`), perhaps empty.
    pub group: String,
    /// The model (`modelSourceName`).
    pub name: String,
}

impl CardRef {
    /// The catalog entry that an artifact names, where it names one.
    pub fn of(artifact: &ModelArtifact) -> Option<Self> {
        let text = |field: &Option<String>| field.as_deref().unwrap_or_default().trim().to_owned();
        let card = Self {
            source: text(&artifact.source.class),
            group: text(&artifact.source.group),
            name: text(&artifact.source.name),
        };
        (!card.source.is_empty() && !card.name.is_empty()).then_some(card)
    }

    /// The model's name in its catalog.
    pub fn model_name(&self) -> String {
        if self.group.is_empty() { self.name.clone() } else { format!("{}/{}", self.group, self.name) }
    }

    /// The key of the card as the Go bridge makes it: the three parts, without spaces.
    pub fn go_key(&self) -> String {
        format!("{}{}{}", self.source, self.group, self.name).replace(' ', "")
    }
}

/// A record of a registry that could not be read, though its page could.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordProblem {
    /// What it is and what it is called, as far as that could be read.
    pub subject: String,
    /// What is wrong with it.
    pub reason: String,
}
