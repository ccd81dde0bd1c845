//! Which service serves which model version.
//!
//! A service belongs to a version by its labels, else (InferenceServices) by the registry's own record of it. What belongs to a version
//! is *claimed*: it is shown with the version, and never as an entry of its own, whether it is ready or not and
//! whether the version is archived or not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use registry_client::records::{InferenceServiceRecord, ModelVersion};

use super::serving::Service;
use super::{Diagnostic, ProjectionSettings, served};
use crate::inventory::{Inventory, RegistryContents, SourceId};
use crate::labels::{NamedVersion, registry_name};

/// A version of a registry.
type VersionRef<'a> = (&'a SourceId, &'a str);

/// The outcome of matching.
pub(super) struct Matches<'a> {
    servers: BTreeMap<VersionRef<'a>, (&'a SourceId, Service<'a>)>,
    claimed: BTreeSet<(&'a SourceId, (&'a str, String))>,
}

impl<'a> Matches<'a> {
    /// The service that serves a version now, and its cluster.
    pub(super) fn server_of(&self, registry: &'a SourceId, version: &'a str) -> Option<(&'a SourceId, Service<'a>)> {
        self.servers.get(&(registry, version)).copied()
    }

    /// Whether a registry knows that service.
    pub(super) fn is_claimed(&self, cluster: &'a SourceId, service: Service<'a>) -> bool {
        self.claimed.contains(&(cluster, service.id()))
    }
}

/// Matches every service of every cluster. One that the settings exclude belongs to its version, and is not shown.
pub(super) fn match_services<'a>(
    inventory: &'a Inventory,
    settings: &ProjectionSettings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Matches<'a> {
    let records = by_record(inventory);
    let mut matches = Matches { servers: BTreeMap::new(), claimed: BTreeSet::new() };
    for (cluster, contents) in &inventory.clusters {
        for service in Service::all(contents) {
            let mut note = |problem: String| {
                diagnostics.push(Diagnostic { source: cluster.clone(), subject: service.subject(), problem });
            };
            let recorded = match service {
                Service::Inference(_) => records.get(&(service.namespace(), service.name())),
                Service::Llm(_) => None,
            };
            let Some(version) = by_label(inventory, service, recorded, &mut note) else { continue };
            matches.claimed.insert((cluster, service.id()));
            if service.not_ready_reason().is_some() || settings.filter.excludes(&served::subject(service)) {
                continue;
            }
            if let Some((_, other)) = matches.servers.get(&version) {
                note(format!(
                    "not shown: its model version is shown with `{}/{}`, which serves it too",
                    other.namespace(),
                    other.name()
                ));
            } else {
                matches.servers.insert(version, (cluster, service));
            }
        }
    }
    matches
}

/// The version that a service's labels name; where they name none, or could mean several registries, the recorded one.
fn by_label<'a>(
    inventory: &'a Inventory,
    service: Service<'_>,
    recorded: Option<&VersionRef<'a>>,
    note: &mut impl FnMut(String),
) -> Option<VersionRef<'a>> {
    let Some(named) = NamedVersion::of(service.labels()) else { return recorded.copied() };
    let registry = registry_name(service.labels());
    let mut candidates: Vec<(VersionRef<'a>, Option<&str>)> = inventory
        .registries
        .iter()
        .filter_map(|(source, contents)| {
            Some(((source, contents.named(&named)?.id.as_str()), contents.registry_name.as_deref()))
        })
        .collect();
    if candidates.len() > 1 && candidates.iter().any(|(_, name)| name.is_some() && *name == registry) {
        candidates.retain(|(_, name)| *name == registry);
    }
    match &candidates[..] {
        [] => recorded.copied(),
        [(version, _)] => Some(*version),
        several => recorded.copied().or_else(|| {
            note(format!(
                "its labels (registered model {}, version {}) fit {} registries: shown on its own; \
                 label it `modelregistry.opendatahub.io/name` with the registry's name",
                named.model,
                named.version,
                several.len()
            ));
            None
        }),
    }
}

/// The version that the registries' own records give to each service, by namespace and name.
fn by_record(inventory: &Inventory) -> BTreeMap<(&str, &str), VersionRef<'_>> {
    let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for served in inventory.clusters.values().flat_map(|contents| &contents.services) {
        services.entry(&served.service.namespace).or_default().insert(&served.service.name);
    }
    let mut found = BTreeMap::new();
    for (source, contents) in &inventory.registries {
        let mut records: Vec<_> = contents.inference_services.values().filter(|record| record.is_deployed()).collect();
        // The newest first: of several records of one service it counts.
        records.sort_by_cached_key(|record| Reverse((record.create_time, record.id.len(), record.id.clone())));
        for record in records {
            let environment = contents.serving_environments.get(&record.serving_environment_id);
            let Some(namespace) = environment.map(|environment| environment.name.as_str()) else { continue };
            let named = services
                .get_key_value(namespace)
                .and_then(|(namespace, names)| Some((*namespace, service_of(record, names)?)));
            if let (Some(service), Some(version)) = (named, version_of(contents, record)) {
                found.entry(service).or_insert((source, version));
            }
        }
    }
    found
}

/// The service that a record means: its name is the service's, mostly with `/` and an id behind it. Of several names
/// that begin it the longest is meant.
fn service_of<'a>(record: &InferenceServiceRecord, names: &BTreeSet<&'a str>) -> Option<&'a str> {
    let name = record.name.as_str();
    let exact = name.split('/').next().unwrap_or(name);
    names
        .get(exact)
        .or_else(|| names.iter().filter(|candidate| name.starts_with(**candidate)).max_by_key(|c| c.len()))
        .copied()
}

/// The version that a record means: the one that it names, else its model's newest LIVE one.
fn version_of<'a>(contents: &'a RegistryContents, record: &InferenceServiceRecord) -> Option<&'a str> {
    if let Some(id) = record.model_version_id.as_deref().filter(|id| !id.is_empty()) {
        return contents.versions.get(id).map(|version| version.id.as_str());
    }
    let newest = |version: &&ModelVersion| (version.create_time, version.id.len(), version.id.clone());
    let versions = contents.versions.values().map(AsRef::as_ref);
    let of_model = versions.filter(|v| v.registered_model_id == record.registered_model_id);
    of_model.filter(|version| version.state.is_live()).max_by_key(newest).map(|version| version.id.as_str())
}
