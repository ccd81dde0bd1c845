//! Builds an inventory from what is on the wire, and shows what the projection makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model_catalog::render::{Format, render};
use normalizer::inventory::{CardRef, Inventory, RecordProblem, Records, RegistryContents, SourceId};
use normalizer::observe::manifests;
use normalizer::project::filter::Filter;
use normalizer::project::owners::Owners;
use normalizer::project::{Entry, Projection, ProjectionSettings, project};
use registry_client::records::{ModelArtifact, Record};
use serde::Deserialize as _;
use serde_json::{Value, json};

pub(crate) fn settings() -> ProjectionSettings {
    ProjectionSettings {
        default_owner: "rhdh-rhoai-bridge".parse().unwrap(),
        default_lifecycle: "development".parse().unwrap(),
        location_base: "http://location.example.com:9090".parse().unwrap(),
        filter: Filter::default(),
        owners: Owners::default(),
        emit: BTreeSet::new(),
        questions: BTreeSet::new(),
    }
}

/// An inventory from the wire forms: `{registries: {name: {...}}, clusters: {name: manifests}}`. A registry has the
/// lists that it answers (`registered_models`, `model_versions`, `inference_services`, `serving_environments`),
/// `model_artifacts` by version, and the `cards` that its catalog has.
pub(crate) fn inventory(input: &Value) -> Inventory {
    let mut inventory = Inventory::default();
    for (name, registry) in entries(&input["registries"]) {
        inventory.registries.insert(SourceId::registry(name), Arc::new(contents(registry)));
    }
    for (name, objects) in entries(&input["clusters"]) {
        let text: Vec<String> = items(objects).map(|object| serde_yaml::to_string(object).unwrap()).collect();
        let snapshot = manifests::read_text(name, &text.join("---\n")).unwrap();
        inventory.clusters.insert(SourceId::cluster(name), Arc::new(snapshot));
    }
    inventory
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn contents(registry: &Value) -> RegistryContents {
    let mut problems = Vec::new();
    let models = read(&registry["registered_models"], &mut problems);
    let versions = read(&registry["model_versions"], &mut problems);
    let environments = read(&registry["serving_environments"], &mut problems);
    let inference_services = read(&registry["inference_services"], &mut problems);
    let artifacts: BTreeMap<String, Vec<Arc<ModelArtifact>>> = entries(&registry["model_artifacts"])
        .map(|(version, artifacts)| {
            (version.clone(), read(artifacts, &mut problems).into_iter().map(Arc::new).collect())
        })
        .collect();
    let text = |card: &Value, field: &str| card[field].as_str().unwrap_or_default().to_owned();
    let cards = items(&registry["cards"]).map(|card| {
        let key = CardRef { source: text(card, "source"), group: text(card, "group"), name: text(card, "name") };
        (key, card["readme"].as_str().map(Arc::from))
    });
    RegistryContents {
        registry_name: registry["name"].as_str().map(str::to_owned),
        models: by_id(models, |model: &registry_client::RegisteredModel| model.id.clone()),
        versions: by_id(versions, |version: &registry_client::ModelVersion| version.id.clone()),
        artifacts,
        inference_services: by_id(inference_services, |one: &registry_client::InferenceServiceRecord| one.id.clone()),
        serving_environments: by_id(environments, |one: &registry_client::ServingEnvironment| one.id.clone()),
        cards: cards.collect(),
        complete: problems.is_empty(),
        problems,
    }
}

fn read<T: Record>(list: &Value, problems: &mut Vec<RecordProblem>) -> Vec<T> {
    let mut records = Vec::new();
    for record in items(list).filter_map(T::from_json) {
        match record {
            Ok(record) => records.push(record),
            Err(error) => problems.push(RecordProblem::from(error)),
        }
    }
    records
}

fn by_id<T>(records: Vec<T>, id: impl Fn(&T) -> String) -> Records<T> {
    records.into_iter().map(|record| (id(&record), Arc::new(record))).collect()
}

/// Projects the wire forms.
pub(crate) fn projected(input: &Value) -> Projection {
    project(&inventory(input), &settings())
}

/// The JSON document of an entry, as it is published.
pub(crate) fn document(entry: &Entry) -> Value {
    serde_json::from_slice(&render(&entry.catalog, Format::ModelCatalogJson).unwrap()).unwrap()
}

/// The YAML document of an entry, as it is published.
pub(crate) fn yaml(entry: &Entry) -> String {
    String::from_utf8(render(&entry.catalog, Format::CatalogInfoYaml).unwrap()).unwrap()
}

/// The entities that a reader of YAML finds in `text`.
pub(crate) fn entities(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents.map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The only entry of a projection.
pub(crate) fn only(projection: &Projection) -> &Entry {
    let entries: Vec<&Entry> = projection.entries.values().collect();
    let [entry] = entries[..] else { panic!("one entry, not {:?}", keys(projection)) };
    entry
}

/// The entry of that key.
pub(crate) fn entry<'a>(projection: &'a Projection, key: &str) -> &'a Entry {
    let found = projection.entries.get(key);
    found.unwrap_or_else(|| panic!("no entry {key} in {:?}", keys(projection)))
}

pub(crate) fn keys(projection: &Projection) -> Vec<&str> {
    projection.entries.keys().map(bridge_api::key::EntryKey::as_str).collect()
}

/// Custom properties as they are on the wire, all of them text.
pub(crate) fn properties(pairs: &[(&str, &str)]) -> Value {
    let value = |text: &str| json!({"metadataType": "MetadataStringValue", "string_value": text});
    pairs.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect::<serde_json::Map<_, _>>().into()
}

/// A registry with one model, of one version, of one artifact.
pub(crate) fn one_version(model: &str, version: &str, model_properties: &Value, version_properties: &Value) -> Value {
    json!({
        "registered_models": [{"id": "1", "name": model, "customProperties": model_properties}],
        "model_versions": [
            {"id": "2", "name": version, "registeredModelId": "1", "customProperties": version_properties},
        ],
        "model_artifacts": {"2": [
            {"id": "3", "artifactType": "model-artifact", "name": "a", "uri": "oci://registry.example.com/a:1"},
        ]},
    })
}

/// An InferenceService that is ready, at an external address.
pub(crate) fn ready_service(namespace: &str, name: &str, labels: &Value, annotations: &Value) -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"namespace": namespace, "name": name, "labels": labels, "annotations": annotations},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://bucket/model"}}},
        "status": {
            "url": format!("https://{name}-{namespace}.apps.example.com"),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// An LLMInferenceService that is ready, behind the external gateway.
pub(crate) fn ready_llm(namespace: &str, name: &str, model: &Value, annotations: &Value) -> Value {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"namespace": namespace, "name": name, "annotations": annotations},
        "spec": {"model": model},
        "status": {
            "addresses": [{"name": "gateway-external", "url": format!("https://gateway.example.com/{namespace}/{name}")}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// Shows a projection to a snapshot: each entry in both formats, then the diagnostics.
pub(crate) fn shown(projection: &Projection) -> String {
    let entries = projection.entries.values().map(shown_entry);
    let diagnostics = projection.diagnostics.iter();
    let diagnostics = diagnostics.map(|found| format!("{}: {}: {}\n", found.source, found.subject, found.problem));
    entries.chain(["==== diagnostics\n".to_owned()]).chain(diagnostics).collect()
}

fn shown_entry(entry: &Entry) -> String {
    let card = entry.card.as_ref().map(|card| format!("model card {}: {:?}\n", card.key, card.text));
    let pending = entry.card_pending.then(|| "model card not known yet\n".to_owned());
    let time = entry.last_update.map(|time| format!("last update {time}\n"));
    let json = serde_json::to_string_pretty(&document(entry)).unwrap();
    let uri = |format| entry.key.uri(format);
    format!(
        "==== {} ({})\n{}---- {}\n{json}\n---- {}\n{}\n",
        entry.key,
        entry.reconciler,
        [card, pending, time].into_iter().flatten().collect::<String>(),
        uri(Format::ModelCatalogJson),
        uri(Format::CatalogInfoYaml),
        yaml(entry),
    )
}
