//! How long the projection takes, by the number of versions: alone, with the documents written in each format, and
//! for the one change that makes it run again.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that is set up wrongly should stop at once")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bridge_api::digest::content_digest;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use model_catalog::render::{Format, render};
use normalizer::inventory::{CardRef, Inventory, RegistryContents, SourceId};
use normalizer::observe::manifests;
use normalizer::project::filter::Filter;
use normalizer::project::owners::Owners;
use normalizer::project::{Projection, ProjectionSettings, project};
use registry_client::records::{ModelArtifact, ModelVersion, Record, RegisteredModel};
use serde_json::{Value, json};

/// How many versions a model has.
const VERSIONS: usize = 4;
/// One version in so many is served.
const SERVED: usize = 20;
/// One model in so many comes from a catalog, with a card.
const FROM_CATALOG: usize = 10;

fn settings() -> ProjectionSettings {
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

fn texts(pairs: &[(&str, &str)]) -> Value {
    let value = |text: &str| json!({"metadataType": "MetadataStringValue", "string_value": text});
    pairs.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect::<serde_json::Map<_, _>>().into()
}

fn record<T: Record>(json: &Value) -> T {
    T::from_json(json).unwrap().unwrap()
}

/// A registry of so many versions, and a cluster that serves some of them.
fn inventory(size: usize) -> Inventory {
    let mut contents = RegistryContents { complete: true, ..RegistryContents::default() };
    for number in 0..size.div_ceil(VERSIONS) {
        let id = format!("{number}");
        let model = json!({
            "id": id, "name": format!("granite-{number}-lab"), "state": "LIVE", "owner": format!("team-{}", number % 50),
            "description": format!("The model number {number}, tuned for questions about one product of many."),
            "lastUpdateTimeSinceEpoch": (1_750_000_000_000_i64 + i64::try_from(number).unwrap()).to_string(),
            "customProperties": texts(&[("License", "apache-2.0"), ("Provider", "Example"), ("granite", ""), ("chat", "")]),
        });
        contents.models.insert(id, Arc::new(record::<RegisteredModel>(&model)));
    }
    for number in 0..size {
        let (parent, id) = (number / VERSIONS, format!("{}", size + number));
        let version = json!({
            "id": id, "name": format!("v{}", number % VERSIONS + 1), "registeredModelId": parent.to_string(),
            "state": "LIVE", "description": "Trained again on newer tickets.",
            "lastUpdateTimeSinceEpoch": (1_750_000_100_000_i64 + i64::try_from(number).unwrap()).to_string(),
            "customProperties": texts(&[("Usage", "Ask it in English."), ("accuracy", "0.93"), ("_lastModified", "2026-04-03T12:00:00.000Z")]),
        });
        let mut artifact = json!({
            "id": id, "artifactType": "model-artifact", "name": "weights", "state": "LIVE",
            "uri": format!("oci://registry.example.com/models/granite-{parent}:{id}"),
        });
        if parent % FROM_CATALOG == 0 {
            artifact["modelSourceClass"] = "catalog".into();
            artifact["modelSourceGroup"] = "granite".into();
            artifact["modelSourceName"] = format!("granite-{parent}").into();
        }
        let artifact = record::<ModelArtifact>(&artifact);
        if let Some(card) = CardRef::of(&artifact) {
            contents.cards.insert(card, Some("# Granite\n\nWhat it is good for, and what not.\n".repeat(20).into()));
        }
        contents.artifacts.insert(id.clone(), vec![Arc::new(artifact)]);
        contents.versions.insert(id, Arc::new(record::<ModelVersion>(&version)));
    }
    let services = (0..size).step_by(SERVED).map(|number| {
        let object = json!({
            "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": {"namespace": "ai-models", "name": format!("serves-{number}"), "labels": {
                "modelregistry.opendatahub.io/registered-model-id": (number / VERSIONS).to_string(),
                "modelregistry.opendatahub.io/model-version-id": (size + number).to_string(),
            }},
            "spec": {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://bucket/model"}}},
            "status": {"url": format!("https://serves-{number}.apps.example.com"), "conditions": [{"type": "Ready", "status": "True"}]},
        });
        object.to_string()
    });
    let snapshot = manifests::read_text("cluster", &services.collect::<Vec<_>>().join("\n---\n")).unwrap();
    Inventory {
        registries: BTreeMap::from([(SourceId::registry("main"), Arc::new(contents))]),
        clusters: BTreeMap::from([(SourceId::cluster("default"), Arc::new(snapshot))]),
        ..Inventory::default()
    }
}

/// Documents and their digests, as the publisher makes them.
fn written(projection: &Projection, format: Format) -> usize {
    let digest = |entry: &normalizer::project::Entry| {
        let body = render(&entry.catalog, format).unwrap();
        let card = entry.card.as_ref().map(|card| (card.key.as_str(), &*card.text)).unwrap_or_default();
        content_digest(&body, card.0, card.1).as_str().len()
    };
    projection.entries.values().map(digest).sum()
}

fn projection(criterion: &mut Criterion) {
    let settings = settings();
    let mut group = criterion.benchmark_group("project");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for size in [1_000, 10_000, 100_000] {
        let inventory = inventory(size);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &inventory, |bencher, inventory| {
            bencher.iter_with_large_drop(|| project(black_box(inventory), &settings));
        });
    }
    group.finish();
}

fn rendering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("render");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    for size in [1_000, 10_000] {
        let projection = project(&inventory(size), &settings());
        for format in [Format::CatalogInfoYaml, Format::ModelCatalogJson] {
            group.throughput(Throughput::Elements(size as u64));
            group.bench_with_input(BenchmarkId::new(format.file_name(), size), &projection, |bencher, projection| {
                bencher.iter(|| written(black_box(projection), format));
            });
        }
    }
    group.finish();
}

/// The contents with one version described otherwise, as an incremental read makes them, and what follows.
fn one_change(criterion: &mut Criterion) {
    let (settings, mut inventory) = (settings(), inventory(10_000));
    let mut group = criterion.benchmark_group("one change");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    let id = SourceId::registry("main");
    let mut count = 0_u64;
    group.bench_function("10000", |bencher| {
        bencher.iter_with_large_drop(|| {
            count += 1;
            let mut contents = RegistryContents::clone(&inventory.registries[&id]);
            let version = contents.versions.values_mut().next().unwrap();
            Arc::make_mut(version).description = Some(format!("Described for the time number {count}."));
            inventory.registries.insert(id.clone(), Arc::new(contents));
            project(black_box(&inventory), &settings)
        });
    });
    group.finish();
}

criterion_group!(benches, projection, rendering, one_change);
criterion_main!(benches);
