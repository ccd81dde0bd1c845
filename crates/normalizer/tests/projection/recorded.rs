//! What the Go bridge made of a registry and a cluster, and what is made of them here. The keys are the same, and so
//! are the documents but for the differences that each test writes down.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{document, entities, entry, keys, projected, yaml};

fn recorded(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/projection/recorded");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn recorded_json(name: &str) -> Value {
    serde_json::from_str(&recorded(&format!("{name}.json"))).unwrap()
}

fn input() -> Value {
    let list = |name: &str| recorded_json(name)["items"].clone();
    let card = recorded_json("catalog_model");
    json!({
        "registries": {"main": {
            "registered_models": list("registered_models"),
            "model_versions": list("model_versions"),
            "model_artifacts": {"2": list("model_versions_2_artifacts"), "5": list("model_versions_5_artifacts")},
            "inference_services": list("inference_services"),
            "serving_environments": list("serving_environments"),
            "cards": [
                {"source": "redhat_ai_models", "group": "RedHatAI", "name": "granite-0", "readme": card["readme"]},
                {"source": "redhat_ai_models", "group": "RedHatAI", "name": "granite-1", "readme": null},
            ],
        }},
        "clusters": {"local": [recorded_json("kube_inferenceservice")]},
    })
}

#[test]
fn keys_are_those_of_the_go_bridge() {
    assert_eq!(keys(&projected(&input())), ["ai-models_mnist-v1", "granite-0-lab_v1", "granite-1-lab_v1"]);
}

#[test]
fn a_registered_version_differs_from_the_recorded_one_only_where_that_was_wrong() {
    let projection = projected(&input());
    let mut expected = recorded_json("granite-0-lab_v1");
    let model = &mut expected["models"][0];
    // Contracts 5: a licence that is no URL has the whole entity rejected.
    model["license"] = json!("https://spdx.org/licenses/Apache-2.0.html");
    // Contracts 6.8: the order of the tags was random, and `granite` was there twice.
    model["tags"] = json!(["catalog", "granite", "ibm", "lab-base", "last-modified-time-2025-04-03-12-00-00-000"]);
    // Contracts 6.8: the user's own TechDocs were overwritten by an address on localhost.
    model["annotations"]["TechDocs"] = json!("https://github.com/example/docs/tree/main");
    // Contracts 2 and 5: newer providers read the annotation in lower case.
    model["annotations"]["techdocs"] = json!("https://github.com/example/docs/tree/main");
    // Ours: by this the page tells who made a model. In the tags nobody can tell it from the rest.
    model["annotations"]["rhdh.modelcatalog.io/provider"] = json!("IBM");
    let found = entry(&projection, "granite-0-lab_v1");
    assert_eq!(document(found), expected);
    // The card is published all the same, under the key that the Go bridge gave it.
    assert_eq!(found.card.as_ref().unwrap().key, "redhat_ai_modelsRedHatAIgranite-0");
}

#[test]
fn a_service_without_a_registry_differs_from_the_recorded_one_only_where_that_was_wrong_or_empty() {
    let projection = projected(&input());
    let mut expected = recorded_json("ai-models_mnist-v1");
    // The reference's own notes: the owner was the namespace, which is nobody in Backstage.
    expected["models"][0]["owner"] = json!("rhdh-rhoai-bridge");
    expected["modelServer"]["owner"] = json!("rhdh-rhoai-bridge");
    // Contracts 6.12: the annotation asks for authentication.
    expected["modelServer"]["authentication"] = json!(true);
    // Contracts 6.10: the one framework that is served is a tag.
    let tags = json!(["networkingkserveiovisibility-exposed", "onnx"]);
    expected["models"][0]["tags"] = tags.clone();
    expected["modelServer"]["tags"] = tags.clone();
    expected["modelServer"]["API"]["tags"] = tags;
    // Contracts 4: the name that the console shows says more than nothing.
    expected["models"][0]["description"] = json!("mnist - v1");
    expected["modelServer"]["description"] = json!("mnist - v1");
    assert_eq!(document(entry(&projection, "ai-models_mnist-v1")), expected);
}

#[test]
fn the_entities_mend_what_was_wrong_in_the_recorded_yaml() {
    let projection = projected(&input());
    let name = |entity: &Value| (entity["kind"].clone(), entity["metadata"]["name"].clone());
    let before: Vec<_> = entities(&recorded("granite-0-lab_v1.yaml")).iter().map(name).collect();
    // Contracts 6.11: named by the version alone, and a server and an API of a model that nothing serves.
    assert_eq!(
        before,
        [
            (json!("Component"), json!("granite-0-lab")),
            (json!("Resource"), json!("v1")),
            (json!("API"), json!("granite-0-lab")),
        ]
    );
    let after = entities(&yaml(entry(&projection, "granite-0-lab_v1")));
    assert_eq!(after.iter().map(name).collect::<Vec<_>>(), [(json!("Resource"), json!("granite-0-lab-v1"))]);
    // The owner was the default's in spite of the model's own.
    assert_eq!(after[0]["spec"]["owner"], "user:kubeadmin");
    // Contracts 6.10: this one was empty.
    let service = entities(&yaml(entry(&projection, "ai-models_mnist-v1")));
    let kinds: Vec<_> = service.iter().map(|entity| entity["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Resource", "Component", "API"]);
}
