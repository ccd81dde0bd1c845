//! The sample of the demo loads, holds what its head says, and agrees with the manifests beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;

use sample_registry::{Kind, Loaded, SampleError, SampleRegistry};
use serde::Deserialize;
use serde_json::Value;

fn sample(file: &str) -> String {
    let path = format!("{}/../../deploy/samples/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).expect("the sample file")
}

fn loaded() -> (SampleRegistry, Loaded) {
    let registry = SampleRegistry::new();
    let loaded = registry.load_yaml(&sample("registry.yaml")).expect("the sample loads");
    (registry, loaded)
}

fn manifests() -> Vec<Value> {
    serde_yaml::Deserializer::from_str(&sample("inferenceservices.yaml"))
        .map(|document| Value::deserialize(document).expect("a manifest"))
        .collect()
}

#[test]
fn it_holds_what_its_head_says() {
    let (registry, loaded) = loaded();
    assert_eq!(
        loaded,
        Loaded {
            models: 10,
            versions: 22,
            artifacts: 23,
            inference_services: 1,
            serving_environments: 2,
            catalog_sources: 2,
            catalog_models: 5,
        }
    );
    assert_eq!(registry.live_versions().len(), 19);
    assert_eq!(registry.count(Kind::ModelVersion), 22);
}

#[test]
fn it_is_the_same_on_each_run() {
    let (first, second) = (loaded().0, loaded().0);
    for kind in Kind::ALL {
        for id in 1..40 {
            let id = id.to_string();
            assert_eq!(first.get(kind, &id), second.get(kind, &id));
        }
    }
}

#[test]
fn every_catalog_source_of_an_artifact_is_in_the_catalog() {
    let text = sample("registry.yaml");
    let sample: Value = serde_yaml::from_str(&text).unwrap();
    let catalog = sample["catalog"]["sources"].as_array().unwrap();
    let versions = sample["models"].as_array().unwrap().iter().flat_map(|model| model["versions"].as_array().unwrap());
    let artifacts = versions.flat_map(|version| version["artifacts"].as_array().unwrap());
    let from_catalog: Vec<&Value> = artifacts.filter(|artifact| artifact["modelSourceKind"] == "catalog").collect();
    assert!(from_catalog.len() >= 8);
    for artifact in from_catalog {
        let text = |field: &str| artifact[field].as_str().unwrap();
        let name = format!("{}/{}", text("modelSourceGroup"), text("modelSourceName"));
        let source = catalog.iter().find(|source| source["id"] == text("modelSourceClass")).expect("the source");
        let card = source["models"].as_array().unwrap().iter().find(|model| model["name"] == name.as_str());
        assert!(card.expect("the catalog model")["readme"].as_str().unwrap().starts_with("# "));
    }
}

#[test]
fn the_manifests_refer_to_what_the_sample_holds() {
    let (registry, _) = loaded();
    let manifests = manifests();
    let services: Vec<_> = manifests.iter().filter(|manifest| manifest["kind"] == "InferenceService").collect();
    assert_eq!(services.len(), 2);
    let label = |name: &str| {
        let key = format!("modelregistry.opendatahub.io/{name}");
        services[0]["metadata"]["labels"][key].as_str().unwrap()
    };
    let version = registry.get(Kind::ModelVersion, label("model-version-id")).unwrap();
    assert_eq!(version["name"], "1.1");
    assert_eq!(version["registeredModelId"], label("registered-model-id"));
    let record = registry.get(Kind::InferenceService, "1").unwrap();
    assert_eq!(record["modelVersionId"], version["id"]);
    let name = services[0]["metadata"]["name"].as_str().unwrap();
    assert!(record["name"].as_str().unwrap().starts_with(name));
    let environment = record["servingEnvironmentId"].as_str().unwrap();
    let environment = registry.get(Kind::ServingEnvironment, environment).unwrap();
    assert_eq!(environment["name"], services[0]["metadata"]["namespace"]);
    for owned in manifests.iter().filter(|manifest| manifest["kind"] != "InferenceService") {
        let owner = &owned["metadata"]["ownerReferences"][0];
        assert!(services.iter().any(|service| service["metadata"]["uid"] == owner["uid"]));
    }
}

#[test]
fn a_faulty_sample_says_what_is_wrong() {
    let registry = SampleRegistry::new();
    let twice = "models: [{name: a, id: 3}, {name: b, id: 3}]";
    let error = registry.load_yaml(twice).unwrap_err();
    assert!(matches!(error, SampleError::DuplicateId { id: 3, .. }), "{error}");
    let dangling = "
        servingEnvironments: [{name: ns}]
        inferenceServices: [{name: svc, model: nobody, servingEnvironment: ns}]";
    let error = SampleRegistry::new().load_yaml(dangling).unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
    let unknown = SampleRegistry::new().load_yaml("modles: []").unwrap_err();
    assert!(unknown.to_string().contains("modles"), "{unknown}");
}

#[test]
fn assigned_ids_go_around_given_ones() {
    let registry = SampleRegistry::new();
    registry.load_yaml("models: [{name: a}, {name: b, versions: [{name: v, id: 2}]}]").unwrap();
    assert_eq!(registry.get(Kind::RegisteredModel, "1").unwrap()["name"], "a");
    assert_eq!(registry.get(Kind::ModelVersion, "2").unwrap()["name"], "v");
    assert_eq!(registry.get(Kind::RegisteredModel, "3").unwrap()["name"], "b");
}
