//! What settings make of the projection: filters, owners, what is emitted besides, what served APIs say of themselves;
//! and how services of two kinds are kept apart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridge_api::messages::Origin;
use cluster::watch::ClusterSnapshot;
use model_catalog::entities::Extra;
use model_catalog::render::{Format, RenderOptions, render_with};
use normalizer::inventory::{Inventory, ServedApi, SourceId, service_of_id};
use normalizer::project::filter::Filter;
use normalizer::project::owners::{OwnerKind, Owners};
use normalizer::project::{Projection, ProjectionSettings, Question, project};
use rstest::rstest;
use serde_json::{Value, json};

use super::rules;
use super::support::{
    document, entities, entry, inventory, keys, one_version, only, properties, ready_llm, ready_service, settings, yaml,
};

fn filtering(include: &str, exclude: &str) -> ProjectionSettings {
    let selectors =
        |list: &str| list.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap()).collect();
    ProjectionSettings { filter: Filter { include: selectors(include), exclude: selectors(exclude) }, ..settings() }
}

fn checked(inventory: &Inventory, settings: &ProjectionSettings) -> Projection {
    let projection = project(inventory, settings);
    rules::check(&projection);
    projection
}

/// A registry `main` with two models, and two services.
fn world() -> Value {
    let mut registry = one_version("granite", "v1", &properties(&[("Stage", "prod"), ("Validated", "")]), &json!({}));
    registry["registered_models"].as_array_mut().unwrap().push(json!({"id": "9", "name": "org/llama"}));
    registry["model_versions"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": "10", "name": "v1", "registeredModelId": "9"}));
    json!({
        "registries": {"main": registry},
        "clusters": {"local": [
            ready_service("team-a", "one", &json!({"stage": "test"}), &json!({"rhdh.io/provider": "IBM"})),
            ready_llm("team-b", "two", &json!({}), &json!({})),
        ]},
    })
}

#[rstest]
#[case::all("", "", &["granite_v1", "orgllama_v1", "team-a_one", "team-b_two"])]
#[case::a_registry("main/*", "", &["granite_v1"])]
#[case::a_registry_with_slashes("main/**", "", &["granite_v1", "orgllama_v1"])]
#[case::a_namespace("team-?/*", "", &["team-a_one", "team-b_two"])]
#[case::without("", "team-b/*,*/granite", &["orgllama_v1", "team-a_one"])]
#[case::excluded_wins("main/**", "**/org/*", &["granite_v1"])]
#[case::a_property("property:Stage=pr*", "", &["granite_v1"])]
#[case::a_property_without_value("property:Validated", "", &["granite_v1"])]
#[case::an_annotation("property:Provider=IBM", "", &["team-a_one"])]
#[case::a_label("property:stage", "", &["team-a_one"])]
#[case::not_a_property("", "property:Stage,property:Provider", &["orgllama_v1", "team-b_two"])]
fn only_what_is_selected_is_an_entry(#[case] include: &str, #[case] exclude: &str, #[case] expected: &[&str]) {
    let projection = checked(&inventory(&world()), &filtering(include, exclude));
    let mut shown: Vec<String> = keys(&projection).into_iter().map(str::to_owned).collect();
    shown.sort();
    assert_eq!(shown, expected);
}

#[test]
fn what_is_filtered_out_is_told_once_a_source_and_is_known_to_be_no_entry() {
    let all = project(&inventory(&world()), &settings());
    let origins: Vec<Origin> = all.entries.values().map(|entry| entry.origin.clone()).collect();
    let projection = checked(&inventory(&world()), &filtering("nothing/*", ""));
    assert!(projection.entries.is_empty());
    let told: Vec<String> = projection.diagnostics.iter().map(|d| format!("{}: {}", d.source, d.problem)).collect();
    let counted = |source: &str, what: &str| format!("{source}: 2 {what} left out, as these settings say");
    assert_eq!(told, [counted("cluster/local", "services"), counted("registry/main", "model versions")]);
    assert_eq!(origins.len(), 4);
    assert!(origins.iter().all(|origin| projection.filters_out(origin)));
    assert!(origins.iter().all(|origin| !all.filters_out(origin)));
}

#[test]
fn what_is_filtered_out_takes_no_name_though_storage_remembers_it() {
    let two = json!({"registries": {
        "one": one_version("granite", "v1", &json!({}), &json!({})), "two": one_version("granite", "v1", &json!({}), &json!({})),
    }});
    let mut inventory = inventory(&two);
    inventory.remembered =
        project(&inventory, &settings()).entries.values().map(|entry| entry.origin.clone()).collect();
    assert_eq!(keys(&checked(&inventory, &filtering("", "two/*"))), ["granite_v1"]);
}

#[test]
fn a_service_that_is_excluded_is_not_shown_with_its_version_either() {
    let labels = json!({
        "modelregistry.opendatahub.io/registered-model-id": "1", "modelregistry.opendatahub.io/model-version-id": "2",
    });
    let world = json!({
        "registries": {"main": one_version("granite", "v1", &json!({}), &json!({}))},
        "clusters": {"local": [ready_service("secret", "svc", &labels, &json!({}))]},
    });
    assert!(document(only(&checked(&inventory(&world), &settings()))).get("modelServer").is_some());
    let hidden = checked(&inventory(&world), &filtering("", "secret/*"));
    assert!(document(only(&hidden)).get("modelServer").is_none());
    let included = checked(&inventory(&world), &filtering("main/*", ""));
    assert!(document(only(&included)).get("modelServer").is_some(), "the service is not an entry of its own");
}

fn owner_of(owners: &str, annotations: &Value, namespace: &[(&str, &str)]) -> String {
    let world = json!({"clusters": {"local": [ready_service("ns", "svc", &json!({}), annotations)]}});
    let mut inventory = inventory(&world);
    let snapshot: &mut ClusterSnapshot = Arc::make_mut(inventory.clusters.values_mut().next().unwrap());
    let of_namespace = namespace.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    snapshot.namespace_annotations.insert("ns".to_owned(), of_namespace);
    let owners = Owners { by_namespace: owners.parse().unwrap(), ..Owners::default() };
    let projection = checked(&inventory, &ProjectionSettings { owners, ..settings() });
    entities(&yaml(only(&projection)))[0]["spec"]["owner"].as_str().unwrap().to_owned()
}

#[rstest]
#[case::the_service(json!({"rhdh.io/owner": "jane"}), "ns=group:default/map", &[("rhdh.io/owner", "joe")], "user:jane")]
#[case::the_map(json!({}), "other=x,ns=group:default/map", &[("rhdh.io/owner", "joe")], "group:default/map")]
#[case::the_namespace(json!({}), "other=x", &[("rhdh.io/owner", "group:ml")], "group:ml")]
#[case::either_prefix(json!({}), "", &[("modelcatalogbridge.rhdh.io/owner", "joe")], "user:joe")]
#[case::not_a_name(json!({"rhdh.io/owner": "??"}), "", &[("rhdh.io/owner", "joe")], "user:joe")]
#[case::the_default(json!({}), "", &[], "user:rhdh-rhoai-bridge")]
fn the_owner_of_a_service_is_the_first_of(
    #[case] annotations: Value,
    #[case] map: &str,
    #[case] namespace: &[(&str, &str)],
    #[case] owner: &str,
) {
    assert_eq!(owner_of(map, &annotations, namespace), owner);
}

#[test]
fn bare_names_are_of_the_kind_that_is_set() {
    let mut world = world();
    world["registries"]["main"]["registered_models"][0]["owner"] = json!("ml-team");
    world["registries"]["main"]["registered_models"][1]["owner"] = json!("user:jane");
    let owners = Owners { kind: OwnerKind::Group, ..Owners::default() };
    let projection = checked(&inventory(&world), &ProjectionSettings { owners, ..settings() });
    let owner = |key: &str| entities(&yaml(entry(&projection, key)))[0]["spec"]["owner"].clone();
    assert_eq!(owner("granite_v1"), "group:ml-team");
    assert_eq!(owner("orgllama_v1"), "user:jane");
    assert_eq!(owner("team-a_one"), "group:rhdh-rhoai-bridge");
    assert_eq!(document(entry(&projection, "granite_v1"))["models"][0]["owner"], "ml-team");
}

#[test]
fn services_of_two_kinds_with_one_name_are_two_entries_and_are_remembered_apart() {
    let both = json!({"clusters": {"local": [
        ready_service("ns", "same", &json!({}), &json!({})), ready_llm("ns", "same", &json!({}), &json!({})),
    ]}});
    let both = inventory(&both);
    let projection = checked(&both, &settings());
    let origins: Vec<&Origin> = projection.entries.values().map(|entry| &entry.origin).collect();
    assert_eq!(origins.len(), 2);
    let alone = inventory(&json!({"clusters": {"local": [ready_service("ns", "same", &json!({}), &json!({}))]}}));
    for origin in origins {
        let (kind, name) = service_of_id(&origin.child);
        assert_eq!((name, origin.second.as_str()), ("same", "same"));
        let served = origin.served_by.as_ref().unwrap();
        assert!(both.settles(&served.cluster, &served.namespace, &served.name), "{kind} is seen");
        assert!(
            alone.settles(&served.cluster, &served.namespace, &served.name),
            "{kind} is seen, or proven to be gone"
        );
        assert!(alone.proves_absent(origin), "{kind}: shown, or gone");
    }
}

#[test]
fn an_llm_service_that_cannot_be_listed_is_not_gone() {
    let seen = inventory(&json!({"clusters": {"local": [ready_llm("ns", "qwen", &json!({}), &json!({}))]}}));
    let origin = only(&checked(&seen, &settings())).origin.clone();
    let mut failed = inventory(&json!({"clusters": {"local": []}}));
    assert!(failed.proves_absent(&origin));
    let snapshot = Arc::make_mut(failed.clusters.get_mut(&SourceId::cluster("local")).unwrap());
    snapshot.llm_inference_services = cluster::watch::KindState::Forbidden { reason: "no".to_owned() };
    assert!(!failed.proves_absent(&origin));
}

fn asking(questions: &[Question]) -> ProjectionSettings {
    ProjectionSettings { questions: questions.iter().copied().collect(), ..settings() }
}

const OPENAPI: &str = r#"{"openapi":"3.1.0"}"#;

fn answering(world: &Value, answers: &[(&str, ServedApi)]) -> Inventory {
    let answers: BTreeMap<String, ServedApi> =
        answers.iter().map(|(url, api)| ((*url).to_owned(), api.clone())).collect();
    Inventory { served_apis: Arc::new(answers), ..inventory(world) }
}

#[test]
fn served_apis_are_asked_only_for_what_is_wanted_and_shown() {
    let inventory = inventory(&world());
    assert!(checked(&inventory, &settings()).questions.is_empty());
    let one = "https://one-team-a.apps.example.com".to_owned();
    let two = "https://gateway.example.com/team-b/two".to_owned();
    let openapi = BTreeSet::from([Question::OpenApi]);
    let asked = checked(&inventory, &asking(&[Question::OpenApi])).questions;
    assert_eq!(asked, BTreeMap::from([(one, openapi.clone()), (two.clone(), openapi)]));
    let asked = checked(&inventory, &asking(&[Question::Models])).questions;
    assert_eq!(asked, BTreeMap::from([(two, BTreeSet::from([Question::Models]))]), "the other is no language model");
    let hidden = ProjectionSettings { questions: BTreeSet::from([Question::OpenApi]), ..filtering("", "team-?/*") };
    assert!(checked(&inventory, &hidden).questions.is_empty());
}

#[test]
fn a_vllm_runtime_lists_its_models_too() {
    let mut service = ready_service("ns", "svc", &json!({}), &json!({}));
    service["spec"]["predictor"]["model"]["modelFormat"]["name"] = json!("vLLM");
    let world = json!({"clusters": {"local": [service]}});
    assert_eq!(checked(&inventory(&world), &asking(&[Question::Models])).questions.len(), 1);
}

#[test]
fn an_entry_waits_until_its_api_was_asked() {
    let url = "https://gateway.example.com/ns/qwen";
    let world = json!({"clusters": {"local": [ready_llm("ns", "qwen", &json!({}), &json!({}))]}});
    let settings = asking(&[Question::OpenApi]);
    assert!(only(&checked(&inventory(&world), &settings)).api_pending);
    assert!(!only(&checked(&answering(&world, &[(url, ServedApi::default())]), &settings)).api_pending);
    assert!(!only(&checked(&inventory(&world), &self::settings())).api_pending);
}

#[rstest]
#[case::none_given(json!({}), OPENAPI)]
#[case::given(json!({"rhdh.io/apispec": "openapi: 3.0.0"}), "openapi: 3.0.0")]
#[case::another_type(json!({"rhdh.io/apitype": "grpc"}), "TBD")]
fn an_apis_own_document_is_its_spec_where_none_is_given(#[case] annotations: Value, #[case] spec: &str) {
    let world = json!({"clusters": {"local": [ready_llm("ns", "qwen", &json!({}), &annotations)]}});
    let answer = ServedApi { openapi: Some(OPENAPI.into()), models: None };
    let inventory = answering(&world, &[("https://gateway.example.com/ns/qwen", answer)]);
    let projection = checked(&inventory, &asking(&[Question::OpenApi]));
    assert_eq!(document(only(&projection))["modelServer"]["API"]["spec"], spec);
}

#[test]
fn answers_that_are_not_wanted_any_more_do_not_count() {
    let world = json!({"clusters": {"local": [ready_llm("ns", "qwen", &json!({}), &json!({}))]}});
    let answer = ServedApi { openapi: Some(OPENAPI.into()), models: Some(vec!["a".to_owned()]) };
    let inventory = answering(&world, &[("https://gateway.example.com/ns/qwen", answer)]);
    let document = document(only(&checked(&inventory, &settings())));
    assert_eq!(document["modelServer"]["API"]["spec"], "TBD");
    assert_eq!(document["modelServer"]["annotations"]["rhdh.modelcatalog.io/served-models"], "[\"qwen\"]");
}

/// The last entity of the only entry, with what is emitted besides.
fn emitted(inventory: &Inventory, questions: &[Question]) -> Value {
    let emit = BTreeSet::from([Extra::AiModelServerApi]);
    let projection = checked(inventory, &ProjectionSettings { emit: emit.clone(), ..asking(questions) });
    let text = render_with(&only(&projection).catalog, Format::CatalogInfoYaml, &RenderOptions { emit }).unwrap();
    entities(&String::from_utf8(text).unwrap()).pop().unwrap()
}

#[test]
fn the_server_entity_knows_the_models_by_the_names_that_callers_use() {
    let model = json!({"name": "Qwen/Qwen3", "lora": {"adapters": [{"name": "legal"}]}});
    let world = json!({"clusters": {"local": [ready_llm("ns", "qwen", &model, &json!({"rhdh.io/system": "chat"}))]}});
    let entity = emitted(&inventory(&world), &[]);
    assert_eq!(entity["kind"], "AiModelServerAPI");
    let models = json!({"discoverable": true, "available": ["Qwen/Qwen3", "legal"], "default": "Qwen/Qwen3"});
    assert_eq!(entity["spec"]["models"], models);
    assert_eq!(entity["spec"]["serverType"], "openai-v1");
    assert_eq!(entity["spec"]["requiresApiKey"], true);
    assert_eq!(entity["spec"]["system"], "chat");
    let answer = ServedApi { openapi: None, models: Some(vec!["a".to_owned(), "legal".to_owned()]) };
    let asked = answering(&world, &[("https://gateway.example.com/ns/qwen", answer)]);
    let models = &emitted(&asked, &[Question::Models])["spec"]["models"];
    assert_eq!(*models, json!({"discoverable": true, "available": ["legal", "a"], "default": "legal"}));
}
