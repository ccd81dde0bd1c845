//! The parsers one by one.

use std::str::FromStr;

use bridge_api::messages::{ErrorBody, FetchedEntries, KeyList, KeySet, PostBody, StorageBody, UriList};
use bridge_api::{EntryKey, from_json};
use cluster::{InferenceService, LlmInferenceService};
use model_catalog::document::Catalog;
use model_catalog::links::{ArtifactUrl, WebUrl};
use model_catalog::names::{AnnotationKey, EntityName, NonEmpty, Owner, Tag};
use model_catalog::render::{Format, render};
use normalizer::observe::manifests;
use registry_client::records::{
    InferenceServiceRecord, ModelArtifact, ModelVersion, Record, RegisteredModel, ServingEnvironment,
};
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use service::settings::{CommaList, GoDuration, http_url};
use testkit::fuzz::{fuzz, mutated};

macro_rules! recorded {
    ($($file:literal),+ $(,)?) => {
        vec![$(include_bytes!(concat!("../../../crates/", $file)).to_vec()),+]
    };
}

/// Each record of recorded lists, alone.
fn records() -> Vec<Vec<u8>> {
    let lists = recorded![
        "normalizer/tests/fixtures/projection/recorded/registered_models.json",
        "normalizer/tests/fixtures/projection/recorded/model_versions.json",
        "normalizer/tests/fixtures/projection/recorded/model_versions_2_artifacts.json",
        "normalizer/tests/fixtures/projection/recorded/inference_services.json",
        "normalizer/tests/fixtures/projection/recorded/serving_environments.json",
    ];
    let items = |list: &Vec<u8>| serde_json::from_slice::<Value>(list).unwrap()["items"].as_array().unwrap().clone();
    lists.iter().flat_map(items).map(|record| record.to_string().into_bytes()).collect()
}

#[test]
fn records_of_registries() {
    let seeds = records();
    fuzz(
        "registry-records",
        |rng| mutated(rng, &seeds),
        |input| {
            let Ok(json) = serde_json::from_slice::<Value>(input) else { return };
            let _ = RegisteredModel::from_json(&json);
            let _ = ModelVersion::from_json(&json);
            let _ = ModelArtifact::from_json(&json);
            let _ = InferenceServiceRecord::from_json(&json);
            let _ = ServingEnvironment::from_json(&json);
        },
    );
}

#[test]
fn objects_of_clusters() {
    let seeds = recorded![
        "cluster/tests/fixtures/inference_service_ready.json",
        "cluster/tests/fixtures/inference_service_not_ready.json",
        "normalizer/tests/fixtures/projection/recorded/kube_inferenceservice.json",
    ];
    fuzz(
        "cluster-objects",
        |rng| mutated(rng, &seeds),
        |input| {
            let Ok(json) = serde_json::from_slice::<Value>(input) else { return };
            if let Ok(service) = InferenceService::from_json(json.clone()) {
                let _ = (service.ready(), service.stopped(), service.not_ready_reason());
            }
            if let Ok(service) = LlmInferenceService::from_json(json) {
                let _ = (service.url(), service.internal_url(), service.authentication(), service.not_ready_reason());
            }
        },
    );
}

#[test]
fn manifests_in_yaml() {
    let samples = include_str!("../../../deploy/samples/inferenceservices.yaml");
    let seeds: Vec<Vec<u8>> = samples.split("---").map(|text| text.as_bytes().to_vec()).collect();
    fuzz(
        "manifests",
        |rng| mutated(rng, &seeds),
        |input| {
            let _ = manifests::read_text("fuzz", &String::from_utf8_lossy(input));
        },
    );
}

/// What is taken is written so that it is taken for the same again.
fn stays_the_same<T: DeserializeOwned + Serialize + PartialEq>(input: &[u8]) {
    let Ok(message) = from_json::<T>(input) else { return };
    let written = serde_json::to_vec(&message).unwrap();
    assert!(from_json::<T>(&written).is_ok_and(|again| again == message));
}

#[test]
fn messages_between_the_services() {
    let mut seeds = recorded![
        "bridge-api/tests/fixtures/go-location-list.json",
        "bridge-api/tests/fixtures/go-storage-fetch.json",
        "bridge-api/tests/fixtures/go-storage-list.json",
    ];
    for text in [
        r#"{"body":"e30=","lastUpdateTimeSinceEpoch":"1","modelCardKey":"k","modelCard":"c","origin":{"source":"registry/a","parent":"1","child":"2","first":"m","second":"v"}}"#,
        r#"{"keys":["a_1"],"entries":[{"key":"a_1","digest":"x","reconcilerType":"kserve"}],"settled":true}"#,
        r#"{"error":"no"}"#,
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    fuzz(
        "messages",
        |rng| mutated(rng, &seeds),
        |input| {
            stays_the_same::<PostBody>(input);
            stays_the_same::<StorageBody>(input);
            stays_the_same::<KeySet>(input);
            stays_the_same::<KeyList>(input);
            stays_the_same::<UriList>(input);
            stays_the_same::<FetchedEntries>(input);
            let _ = from_json::<ErrorBody>(input);
        },
    );
}

/// What is taken is taken for the same when it is written.
fn is_stable<T: FromStr + ToString + PartialEq>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert!(value.to_string().parse::<T>().is_ok_and(|again| again == value), "{text:?}");
    Some(value)
}

#[test]
fn names_links_and_settings() {
    let seeds: Vec<Vec<u8>> = [
        "granite-3.1_v1",
        "redhat:granite+x",
        "rhdh.modelcatalog.io/model-name",
        "group:default/team-a",
        "production",
        "https://models.example.com/a?b=c#d",
        "s3://bucket/path/model.onnx",
        "oci://registry.example.com/m:1@sha256:00",
        "hf://RedHatAI/granite",
        "1h30m10.5s",
        "a,b , c",
        "granite-0-lab_v1",
        "http://127.0.0.1:7070",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    fuzz(
        "texts",
        |rng| mutated(rng, &seeds),
        |input| {
            let text = String::from_utf8_lossy(input);
            if let Some(name) = EntityName::lossy(&text) {
                assert!(name.to_string().parse::<EntityName>().is_ok() && name.to_string().len() <= 63);
            }
            if let Some(tag) = Tag::lossy(&text) {
                assert!(tag.to_string().parse::<Tag>().is_ok() && tag.to_string().len() <= 63);
            }
            is_stable::<AnnotationKey>(&text);
            is_stable::<Owner>(&text);
            is_stable::<NonEmpty>(&text);
            is_stable::<EntryKey>(&text);
            is_stable::<GoDuration>(&text);
            let _ = text.parse::<CommaList<String>>();
            let _ = http_url(&text);
            if let Some(url) = is_stable::<WebUrl>(&text) {
                assert!(url.to_string().to_lowercase().starts_with("http"), "{url}");
            }
            if let Some(url) = is_stable::<ArtifactUrl>(&text) {
                let url = url.to_string().to_lowercase();
                assert!(!url.starts_with("javascript:") && !url.starts_with("data:"), "{url}");
            }
        },
    );
}

#[test]
fn documents_that_are_taken_are_written_in_both_formats() {
    let seeds = recorded![
        "normalizer/tests/fixtures/projection/recorded/ai-models_mnist-v1.json",
        "normalizer/tests/fixtures/projection/recorded/granite-0-lab_v1.json",
        "normalizer/tests/fixtures/projection/recorded/granite-1-lab_v1.json",
    ];
    fuzz(
        "documents",
        |rng| mutated(rng, &seeds),
        |input| {
            let Ok(catalog) = serde_json::from_slice::<Catalog>(input) else { return };
            let json = render(&catalog, Format::ModelCatalogJson).unwrap();
            assert!(serde_json::from_slice::<Catalog>(&json).is_ok_and(|again| again == catalog));
            let yaml = render(&catalog, Format::CatalogInfoYaml).unwrap();
            for document in serde_yaml::Deserializer::from_slice(&yaml) {
                Value::deserialize(document).unwrap();
            }
        },
    );
}
