//! The faults of the Go bridge that concern the projection, by their numbers in the list of faults: each test would
//! fail on what it did.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rules::is_name;
use super::support::{document, entities, entry, keys, one_version, only, projected, properties, ready_service, yaml};

fn registry_of(models: &[(&str, &str)]) -> Value {
    let id = |number: usize| (number + 1).to_string();
    let model = |(number, (name, _)): (usize, &(&str, &str))| json!({"id": id(number), "name": name});
    let version = |(number, (_, name)): (usize, &(&str, &str))| json!({"id": format!("v{}", id(number)), "name": name, "registeredModelId": id(number)});
    json!({
        "registered_models": models.iter().enumerate().map(model).collect::<Vec<_>>(),
        "model_versions": models.iter().enumerate().map(version).collect::<Vec<_>>(),
    })
}

fn names_of(input: &Value) -> BTreeSet<String> {
    let projection = projected(input);
    let name = |entry| document(entry)["models"][0]["name"].as_str().unwrap().to_lowercase();
    projection.entries.values().map(name).collect()
}

#[test]
fn fault_1_a_name_with_an_underscore_does_not_land_under_another_models_key() {
    let input = json!({"registries": {"main": registry_of(&[("a_b", "v1"), ("a", "b_v1")])}});
    let projection = projected(&input);
    assert_eq!(projection.entries.len(), 2);
    for key in projection.entries.keys() {
        let (first, second) = key.segments();
        assert!(!first.contains('_') && !second.contains('_'), "{key}");
    }
    assert_eq!(names_of(&input).len(), 2);
}

#[test]
fn fault_1_the_same_model_in_two_registries_is_two_entries() {
    let registry = registry_of(&[("granite", "v1")]);
    let input = json!({"registries": {"one": registry, "two": registry}});
    assert_eq!(projected(&input).entries.len(), 2);
    assert_eq!(names_of(&input).len(), 2);
}

#[test]
fn fault_1_names_that_differ_only_in_removed_characters_are_two_entries() {
    let input = json!({"registries": {"main": registry_of(&[("granite 3.1", "v1"), ("granite 31", "v1"), ("Granite 3.1", "v1")])}});
    assert_eq!(projected(&input).entries.len(), 3);
    assert_eq!(names_of(&input).len(), 3);
}

#[test]
fn fault_1_a_service_called_like_a_model_version_is_an_entry_of_its_own() {
    let input = json!({
        "registries": {"main": registry_of(&[("granite", "v1")])},
        "clusters": {"local": [ready_service("granite", "v1", &json!({}), &json!({}))]},
    });
    assert_eq!(projected(&input).entries.len(), 2);
    assert_eq!(names_of(&input).len(), 2);
}

#[test]
fn fault_7_a_service_that_stopped_or_is_not_ready_is_not_shown() {
    let mut input = json!({"clusters": {"local": [ready_service("ns", "svc", &json!({}), &json!({}))]}});
    assert_eq!(keys(&projected(&input)), ["ns_svc"]);
    input["clusters"]["local"][0]["metadata"]["annotations"] = json!({"serving.kserve.io/stop": "true"});
    assert!(projected(&input).entries.is_empty());
    input["clusters"]["local"][0]["metadata"]["annotations"] = json!({});
    input["clusters"]["local"][0]["status"]["conditions"][0]["status"] = json!("False");
    assert!(projected(&input).entries.is_empty());
}

#[test]
fn fault_7_a_model_loses_its_server_when_the_service_stops_and_stays_itself() {
    let labels = json!({
        "modelregistry.opendatahub.io/registered-model-id": "1", "modelregistry.opendatahub.io/model-version-id": "2",
    });
    let mut input = json!({
        "registries": {"main": one_version("granite", "v1", &json!({}), &json!({}))},
        "clusters": {"local": [ready_service("ns", "svc", &labels, &json!({}))]},
    });
    assert!(document(only(&projected(&input))).get("modelServer").is_some());
    input["clusters"]["local"][0]["metadata"]["annotations"] = json!({"serving.kserve.io/stop": "true"});
    let stopped = projected(&input);
    assert_eq!(keys(&stopped), ["granite_v1"]);
    assert!(document(only(&stopped)).get("modelServer").is_none());
}

#[test]
fn fault_7_an_edit_of_annotations_alone_changes_the_document() {
    let service = |annotations: Value| ready_service("ns", "svc", &json!({}), &annotations);
    let before = projected(&json!({"clusters": {"local": [service(json!({}))]}}));
    let after = projected(&json!({"clusters": {"local": [service(json!({"rhdh.io/usage": "For all."}))]}}));
    assert_eq!(only(&before).last_update, only(&after).last_update, "no time tells them apart");
    assert_ne!(document(only(&before)), document(only(&after)));
    assert_ne!(yaml(only(&before)), yaml(only(&after)));
}

#[test]
fn fault_8_tags_are_sorted_and_the_same_on_every_run() {
    let of_model = properties(&[("zebra", ""), ("Provider", "IBM"), ("alpha", "beta"), ("middle", "")]);
    let of_version = properties(&[("Source model", "zebra"), ("beta", "")]);
    let input = json!({"registries": {"main": one_version("granite", "v1", &of_model, &of_version)}});
    let documents: BTreeSet<String> = (0..20).map(|_| document(only(&projected(&input))).to_string()).collect();
    assert_eq!(documents.len(), 1);
    let tags = &document(only(&projected(&input)))["models"][0]["tags"];
    assert_eq!(*tags, json!(["alpha-beta", "beta", "ibm", "middle", "zebra"]));
}

#[test]
fn fault_8_a_users_techdocs_are_kept_and_a_cards_address_is_where_location_is() {
    let with = |docs: &Value| {
        let mut registry = one_version("granite", "v1", docs, &json!({}));
        registry["model_artifacts"]["2"][0]["modelSourceClass"] = json!("source");
        registry["model_artifacts"]["2"][0]["modelSourceName"] = json!("granite");
        registry["cards"] = json!([{"source": "source", "name": "granite", "readme": "# Granite"}]);
        document(only(&projected(&json!({"registries": {"main": registry}}))))["models"][0]["annotations"].clone()
    };
    let own = with(&properties(&[("TechDocs", "https://docs.example.com/granite")]));
    assert_eq!(own["TechDocs"], "https://docs.example.com/granite");
    let card = with(&json!({}));
    assert_eq!(card["TechDocs"], "http://location.example.com:9090/modelcard?key=sourcegranite");
    assert_eq!(card["techdocs"], card["TechDocs"]);
}

#[test]
fn fault_10_an_sklearn_predictor_gets_the_tag_of_its_own_framework_alone() {
    let mut service = ready_service("ns", "svc", &json!({}), &json!({}));
    service["spec"] = json!({"predictor": {"sklearn": {"storageUri": "gs://bucket/model"}}});
    let projection = projected(&json!({"clusters": {"local": [service]}}));
    assert_eq!(document(only(&projection))["models"][0]["tags"], json!(["sklearn"]));
    assert_eq!(document(only(&projection))["models"][0]["artifactLocationURL"], "gs://bucket/model");
}

#[test]
fn fault_10_a_service_without_a_registry_has_entities_in_yaml() {
    let projection = projected(&json!({"clusters": {"local": [ready_service("ns", "svc", &json!({}), &json!({}))]}}));
    let entities = entities(&yaml(only(&projection)));
    let kinds: Vec<_> = entities.iter().map(|entity| entity["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Resource", "Component", "API"]);
}

#[test]
fn fault_11_resources_are_named_by_model_and_version() {
    let input = json!({"registries": {"main": registry_of(&[("granite", "v1"), ("llama", "v1")])}});
    let projection = projected(&input);
    let name = |key: &str| entities(&yaml(entry(&projection, key)))[0]["metadata"]["name"].clone();
    assert_eq!([name("granite_v1"), name("llama_v1")], [json!("granite-v1"), json!("llama-v1")]);
}

#[test]
fn fault_11_a_component_depends_on_what_is_emitted_and_on_nothing_else() {
    let labels = json!({
        "modelregistry.kubeflow.org/registered-model-id": "1", "modelregistry.kubeflow.org/model-version-id": "2",
    });
    let projection = projected(&json!({
        "registries": {"main": one_version("granite", "v1", &json!({}), &json!({}))},
        "clusters": {"local": [ready_service("ns", "svc", &labels, &json!({}))]},
    }));
    let found = entities(&yaml(only(&projection)));
    assert!(is_name(found[0]["metadata"]["name"].as_str().unwrap()));
    assert_eq!(found[1]["spec"]["dependsOn"], json!(["resource:granite-v1"]));
    assert_eq!(found[1]["spec"]["providesApis"], json!(["granite-v1"]));
    assert_eq!([&found[2]["kind"], &found[2]["metadata"]["name"]], [&json!("API"), &json!("granite-v1")]);
    assert_eq!(found[0]["spec"]["dependencyOf"], json!(["component:granite-v1"]));
}

#[test]
fn fault_12_the_annotation_switches_authentication_on_without_a_service_account() {
    let annotations = json!({"security.opendatahub.io/enable-auth": "true"});
    let projection = projected(&json!({"clusters": {"local": [ready_service("ns", "svc", &json!({}), &annotations)]}}));
    assert_eq!(document(only(&projection))["modelServer"]["authentication"], true);
}
