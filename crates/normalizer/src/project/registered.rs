//! Drafts of what registries hold: one for each LIVE version of a LIVE registered model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_api::messages::ReconcilerType;
use model_catalog::names::{Tag, clean_text};
use registry_client::properties::Properties;
use registry_client::records::{ModelArtifact, ModelVersion, RegisteredModel};

use super::described::{Described, FIELDS, Given, Reader};
use super::filter::Subject;
use super::matching::Matches;
use super::naming::{Identity, Wish};
use super::serving::Service;
use super::{Draft, Drafts, Notes, ProjectionSettings, cards};
use crate::inventory::{CardRef, RegistryContents, SourceId};

/// Properties whose values alone are tags: their keys say where a model came from and would only be noise.
pub(super) const VALUE_TAGS: &[&str] = &[
    "Provider",
    "Registered from",
    "Source model",
    "Source model version",
    "API Type",
    "_registeredFromCatalogRepositoryName",
];

/// The property in which RHOAI keeps when a record was last edited.
const LAST_MODIFIED: &str = "_lastModified";

pub(super) fn drafts(
    source: &SourceId,
    contents: &RegistryContents,
    matches: &Matches<'_>,
    settings: &ProjectionSettings,
    notes: &mut Notes<'_>,
    drafts: &mut Drafts,
) {
    let mut filtered = 0;
    for problem in &contents.problems {
        notes.add(&problem.subject, format!("left out: {}", problem.reason));
    }
    for version in contents.versions.values().filter(|version| version.state.is_live()) {
        match contents.models.get(&version.registered_model_id) {
            None => notes.add(
                &format!("version `{}` (id {})", version.name, version.id),
                format!("left out: the registry lists no registered model with id {}", version.registered_model_id),
            ),
            Some(model) if !model.state.is_live() => {}
            Some(model) if settings.filter.admits(&filter_subject(source, contents, model, version)) => {
                drafts.all.push(draft(source, contents, model, version, matches, settings, notes));
            }
            Some(model) => {
                filtered += 1;
                drafts.filtered.insert(identity(source, model, version));
            }
        }
    }
    notes.add_filtered(filtered, "model versions");
}

fn identity(source: &SourceId, model: &RegisteredModel, version: &ModelVersion) -> Identity {
    Identity { source: source.clone(), parent: model.id.clone(), child: version.id.clone() }
}

/// What filters look at: the model by what its registry is called, and by what its entries are remembered under.
fn filter_subject<'a>(
    source: &'a SourceId,
    contents: &'a RegistryContents,
    model: &'a RegisteredModel,
    version: &'a ModelVersion,
) -> Subject<'a> {
    let registries = contents.registry_name.as_deref().into_iter().chain([source.name()]);
    Subject {
        names: registries.map(|registry| format!("{registry}/{}", model.name)).collect(),
        property: Box::new(|key| version.properties.text(key).or_else(|| model.properties.text(key))),
    }
}

fn draft(
    source: &SourceId,
    contents: &RegistryContents,
    model: &RegisteredModel,
    version: &ModelVersion,
    matches: &Matches<'_>,
    settings: &ProjectionSettings,
    notes: &mut Notes<'_>,
) -> Draft {
    let subject = format!("model `{}` version `{}`", model.name, version.name);
    let artifacts = contents.artifacts.get(&version.id).map(Vec::as_slice).unwrap_or_default();
    let artifact = newest(artifacts);
    let get =
        |property: &str| [&version.properties, &model.properties].iter().filter_map(|p| p.text(property)).collect();
    let mut reader = Reader { get: &get, subject: &subject, notes };
    let given = Given {
        description: description(model, version),
        owners: model.owner.clone().into_iter().collect(),
        license: model.license.clone(),
        license_link: model.license_link.clone(),
        artifact: artifact.and_then(|artifact| artifact.uri.clone()),
        tags: tags(model, version, artifact, &mut reader),
        provider: model.provider.as_deref().map(clean_text).filter(|text| !text.is_empty()),
        model_name: None,
    };
    let described = Described::read(&mut reader, given, settings);
    let card_ref = artifact.and_then(CardRef::of);
    let card_pending = card_ref.as_ref().is_some_and(|card| !contents.cards.contains_key(card));
    let card = card_ref.and_then(|card| {
        let text = contents.cards.get(&card)?.clone()?;
        Some(cards::Found { card, text })
    });
    let serving = matches.server_of(source, &version.id);
    let times =
        [model.last_update_time, version.last_update_time, artifact.and_then(|artifact| artifact.last_update_time)];
    let adapters = serving.map(|(_, service)| service.adapters(&mut reader)).unwrap_or_default();
    Draft {
        wish: Wish {
            identity: identity(source, model, version),
            first: model.name.clone(),
            second: version.name.clone(),
            further: adapters.iter().map(|adapter| adapter.name.clone()).collect(),
        },
        reconciler: ReconcilerType::Kubeflow,
        described,
        server: serving.map(|(_, service)| Service::server(service)),
        adapters,
        card,
        card_pending,
        unsettled: false,
        served_by: serving.map(|(cluster, service)| service.served_by(cluster)),
        last_update: times.into_iter().flatten().max(),
    }
}

/// The newest LIVE model artifact that says where the model is; by id where two are of one time, so that the choice
/// does not depend on the order in which a registry lists them.
fn newest(artifacts: &[Arc<ModelArtifact>]) -> Option<&ModelArtifact> {
    let located = |artifact: &ModelArtifact| artifact.uri.as_deref().is_some_and(|uri| !uri.trim().is_empty());
    let rank =
        |artifact: &&ModelArtifact| (located(artifact), artifact.create_time, artifact.id.len(), artifact.id.clone());
    artifacts.iter().map(AsRef::as_ref).filter(|artifact: &&ModelArtifact| artifact.state.is_live()).max_by_key(rank)
}

/// Both descriptions, one below the other.
fn description(model: &RegisteredModel, version: &ModelVersion) -> String {
    let parts = [&model.description, &version.description];
    let parts: Vec<&str> =
        parts.into_iter().flatten().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    parts.join("\n")
}

/// The tags of a version: a property of the artifact counts before the version's, that before the model's.
fn tags(
    model: &RegisteredModel,
    version: &ModelVersion,
    artifact: Option<&ModelArtifact>,
    reader: &mut Reader<'_, '_>,
) -> BTreeSet<Tag> {
    let mut merged: BTreeMap<&str, String> = BTreeMap::new();
    let mut tags = BTreeSet::new();
    let sources: [Option<&Properties>; 3] =
        [Some(&model.properties), Some(&version.properties), artifact.map(|artifact| &artifact.properties)];
    for (level, properties) in sources.into_iter().enumerate().filter_map(|(level, found)| Some((level, found?))) {
        for key in properties.keys() {
            let Some(value) = properties.text(key) else { continue };
            match key.as_str() {
                // The registered model's own is the time of its newest version, which says nothing of this one.
                LAST_MODIFIED if level == 0 => {}
                LAST_MODIFIED => tags.extend(last_modified(&value)),
                key => drop(merged.insert(key, value)),
            }
        }
    }
    for (key, value) in merged {
        if VALUE_TAGS.contains(&key) {
            tags.extend(reader.tag(&value));
        } else if !FIELDS.contains(&key) && !key.starts_with('_') {
            let text = if value.trim().is_empty() { key.to_owned() } else { format!("{key}-{value}") };
            tags.extend(reader.tag(&text));
        }
    }
    tags
}

/// `2025-04-03T12:00:00.000Z` as `last-modified-time-2025-04-03-12-00-00-000`.
fn last_modified(time: &str) -> Option<Tag> {
    let time = time.trim().trim_end_matches('Z').replace([':', '.', 'T'], "-");
    Tag::lossy(&format!("last-modified-time-{time}"))
}
