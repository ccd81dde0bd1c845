//! What reading a registry costs: exactly counted requests of full and incremental reads, in every dialect of servers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up should stop at once")]

use std::time::Duration;

use normalizer::inventory::RegistryContents;
use normalizer::observe::cards::{CardReader, Catalog};
use normalizer::observe::increment::{Increment, Memory};
use normalizer::observe::reader::RegistryReader;
use registry_client::{CatalogClient, RegistryClient};
use rstest::rstest;
use sample_registry::{Dialect, Kind, SampleRegistry};
use serde_json::json;
use service::http_client::{TlsSettings, client};
use testkit::registry::{Fault, Matcher, ScriptedRegistry};

/// The requests of an unchanged poll at most, whatever the registry's size.
const UNCHANGED: usize = 5;

/// Something that is done to a registry.
type Edit<'a> = Box<dyn Fn() + 'a>;

struct Scene {
    registry: ScriptedRegistry,
    reader: RegistryReader,
}

impl Scene {
    async fn with(models: usize, versions: usize) -> Self {
        let sample = SampleRegistry::new();
        fill(&sample, models, versions);
        let registry = ScriptedRegistry::serving(sample).await;
        let http = client(&TlsSettings::default(), "tests").unwrap();
        let catalog = Catalog { client: CatalogClient::new(registry.url(), http.clone(), None), supposed: true };
        let reader = RegistryReader {
            registry_name: None,
            client: RegistryClient::new(registry.url(), http, None).with_timeout(Duration::from_secs(10)),
            cards: CardReader::new(vec![catalog]),
            concurrency: 8,
        };
        Self { registry, reader }
    }

    async fn read_all(&self) -> RegistryContents {
        self.reader.read_all(None).await.unwrap()
    }

    /// What an increment brings, and how many requests it took.
    async fn increment(&self, known: &RegistryContents, memory: &mut Memory) -> (Option<RegistryContents>, usize) {
        self.registry.clear();
        let read = self.reader.read_increment(known, memory).await.unwrap();
        let contents = match read {
            Increment::Unchanged => None,
            Increment::Changed(contents) => Some(*contents),
        };
        (contents, self.registry.total())
    }

    /// Asserts that an increment leads to what a full read shows.
    async fn agrees(&self, known: &RegistryContents, memory: &mut Memory) -> usize {
        let (contents, requests) = self.increment(known, memory).await;
        let full = self.read_all().await;
        let contents = contents.unwrap_or_else(|| known.clone());
        assert_eq!(contents.versions, full.versions);
        assert_eq!(contents.models, full.models);
        assert_eq!(contents.artifacts, full.artifacts);
        assert_eq!(contents.inference_services, full.inference_services);
        assert_eq!(contents.serving_environments, full.serving_environments);
        assert_eq!(contents.cards, full.cards);
        requests
    }
}

fn fill(sample: &SampleRegistry, models: usize, versions: usize) {
    sample.put_catalog_model("hub", "org/card", "# Card", json!({}));
    let environment = sample.create_serving_environment("ai-models", json!({}));
    for model in 0..models {
        let id = sample.create_model(&format!("model-{model}"), json!({"description": "x"}));
        for version in 0..versions {
            let version = sample.create_version(&id, &format!("v{version}"), json!({}));
            let source = json!({
                "uri": "oci://registry.example.com/x:1", "modelSourceKind": "catalog", "modelSourceClass": "hub",
                "modelSourceGroup": "org", "modelSourceName": "card",
            });
            sample.create_artifact(&version, "artifact", source);
        }
    }
    let deployed = json!({"registeredModelId": "2", "modelVersionId": "3", "desiredState": "DEPLOYED"});
    sample.create_inference_service(&environment, "service/1", deployed);
}

#[rstest]
#[case(10, 1)]
#[case(1_000, 1)]
#[case(10_000, 1)]
#[tokio::test]
async fn an_unchanged_registry_costs_at_most_five_requests(#[case] models: usize, #[case] versions: usize) {
    let scene = Scene::with(models, versions).await;
    let contents = scene.read_all().await;
    assert_eq!(contents.versions.len(), models * versions);
    let mut memory = Memory::default();
    for _ in 0..3 {
        let (changed, requests) = scene.increment(&contents, &mut memory).await;
        assert!(changed.is_none());
        assert!(requests <= UNCHANGED, "{requests}: {:?}", scene.registry.requests());
    }
    scene.registry.clear();
    assert!(!scene.reader.has_news(&contents, &memory).await.unwrap());
    assert!(scene.registry.total() <= UNCHANGED);
}

#[tokio::test]
async fn a_first_read_takes_the_pages_of_flat_lists_a_request_a_version_and_one_a_card() {
    let scene = Scene::with(150, 2).await;
    scene.registry.clear();
    scene.read_all().await;
    let artifacts = scene.registry.count("/artifacts");
    assert_eq!(artifacts, 300);
    assert_eq!(scene.registry.count(Matcher::by(|request| request.path.contains("/sources/"))), 1, "one distinct card");
    // 2 pages of models, 3 of versions, one each of records and environments.
    assert_eq!(scene.registry.total() - artifacts - 1, 7);
}

#[rstest]
#[case(10)]
#[case(1_000)]
#[tokio::test]
async fn one_changed_model_costs_little_more(#[case] models: usize) {
    let scene = Scene::with(models, 3).await;
    let mut contents = scene.read_all().await;
    let mut memory = Memory::default();
    let sample = scene.registry.edit().clone();
    let model = contents.models.keys().next_back().unwrap().clone();
    let versions: Vec<String> =
        contents.versions.values().filter(|v| v.registered_model_id == model).map(|v| v.id.clone()).collect();
    let bound = 7 + versions.len();

    sample.update_model(&model, json!({"description": "changed"})).unwrap();
    assert!(scene.agrees(&contents, &mut memory).await <= bound);
    contents = scene.read_all().await;
    for version in &versions {
        sample.update_version(version, json!({"description": "changed"})).unwrap();
    }
    assert!(scene.agrees(&contents, &mut memory).await <= bound);
    contents = scene.read_all().await;
    sample.archive_model(&model).unwrap();
    assert!(scene.agrees(&contents, &mut memory).await <= bound);
    contents = scene.read_all().await;
    sample.unarchive_model(&model).unwrap();
    assert!(scene.agrees(&contents, &mut memory).await <= bound);
}

#[rstest]
#[case::standard(Dialect::Standard)]
#[case::ignores_order(Dialect::IgnoresOrder)]
#[case::pages_of_20(Dialect::PageCap(20))]
#[case::unpaged(Dialect::Unpaged)]
#[tokio::test]
async fn every_edit_shows_in_every_dialect(#[case] dialect: Dialect) {
    let scene = Scene::with(60, 2).await;
    let sample = scene.registry.edit().clone();
    sample.set_dialect(dialect);
    let mut contents = scene.read_all().await;
    let mut memory = Memory::default();
    let model = contents.models.keys().nth(7).unwrap().clone();
    let version = contents.versions.keys().nth(9).unwrap().clone();
    let artifact = contents.artifacts[&version][0].id.clone();
    let record = contents.inference_services.keys().next().unwrap().clone();
    let edits: Vec<(&str, Edit<'_>)> = vec![
        ("model", Box::new(|| sample.update_model(&model, json!({"owner": "new"})).unwrap())),
        ("version", Box::new(|| sample.update_version(&version, json!({"description": "new"})).unwrap())),
        (
            "artifact",
            Box::new(|| sample.update_artifact(&artifact, json!({"uri": "oci://registry.example.com/y:2"})).unwrap()),
        ),
        (
            "record",
            Box::new(|| sample.update_inference_service(&record, json!({"desiredState": "UNDEPLOYED"})).unwrap()),
        ),
        ("archived version", Box::new(|| sample.archive_version(&version).unwrap())),
        ("archived model", Box::new(|| sample.archive_model(&model).unwrap())),
        ("back again", Box::new(|| sample.unarchive_model(&model).unwrap())),
        (
            "new model, version and artifact",
            Box::new(|| {
                let model = sample.create_model("new", json!({}));
                let version = sample.create_version(&model, "v1", json!({}));
                sample.create_artifact(&version, "artifact", json!({"uri": "oci://registry.example.com/new:1"}));
            }),
        ),
        (
            "new environment and record",
            Box::new(|| {
                let environment = sample.create_serving_environment("other", json!({}));
                sample.create_inference_service(&environment, "other/1", json!({"registeredModelId": model}));
            }),
        ),
        ("property", Box::new(|| sample.set_property(Kind::ModelVersion, &version, "label", &json!("")).unwrap())),
    ];
    for (what, edit) in edits {
        edit();
        if dialect == Dialect::Standard {
            assert!(scene.reader.has_news(&contents, &memory).await.unwrap() || what == "artifact", "{what}");
        }
        scene.agrees(&contents, &mut memory).await;
        contents = scene.read_all().await;
    }
}

#[tokio::test]
async fn an_artifact_that_comes_after_its_version_is_found() {
    let scene = Scene::with(20, 1).await;
    let sample = scene.registry.edit().clone();
    let model = sample.create_model("late", json!({}));
    let version = sample.create_version(&model, "v1", json!({}));
    let contents = scene.read_all().await;
    sample.create_artifact(&version, "artifact", json!({"uri": "oci://registry.example.com/late:1"}));
    assert!(scene.agrees(&contents, &mut Memory::default()).await <= UNCHANGED + 1);
}

#[tokio::test]
async fn artifacts_of_archived_versions_are_looked_for_once() {
    let scene = Scene::with(5, 1).await;
    let sample = scene.registry.edit().clone();
    let before = scene.read_all().await;
    let (hidden, artifacts) = before.artifacts.iter().next().unwrap();
    sample.archive_version(hidden).unwrap();
    let contents = scene.read_all().await;
    sample.update_artifact(&artifacts[0].id, json!({"uri": "oci://registry.example.com/z:9"})).unwrap();
    let mut memory = Memory::default();
    let _ = scene.increment(&contents, &mut memory).await;
    let (changed, requests) = scene.increment(&contents, &mut memory).await;
    assert!(changed.is_none());
    assert!(requests <= UNCHANGED);
}

#[rstest]
#[case::status(Fault::Status(500))]
#[case::html(Fault::Html)]
#[case::garbage(Fault::Garbage)]
#[case::half_page(Fault::HalfPage)]
#[case::cut(Fault::CutBody)]
#[case::wrong_types(Fault::WrongTypes)]
#[case::empty(Fault::Empty200)]
#[case::reset(Fault::Reset)]
#[tokio::test]
async fn a_read_that_fails_anywhere_is_no_read(#[case] fault: Fault) {
    let scene = Scene::with(30, 2).await;
    let contents = scene.read_all().await;
    let total = {
        scene.registry.clear();
        scene.read_all().await;
        scene.registry.total()
    };
    for skip in [0, 1, 2, 3, total / 2] {
        let at_model_registry = Matcher::by(|request| request.path.contains("/model_registry/"));
        scene.registry.fail_after(skip, 1, at_model_registry, fault.clone());
        let read = scene.reader.read_all(Some(&contents)).await;
        scene.registry.clear_faults();
        // Wrong types may leave every page whole and some of its records unreadable: then nothing that was known is missing.
        match read {
            Err(error) => assert!(error.to_string().contains("model registry at http://127.0.0.1"), "{error}"),
            Ok(read) => {
                assert!(!read.complete, "{fault:?} after {skip} requests went unseen");
                assert_eq!(read.versions, contents.versions);
                assert_eq!(read.models, contents.models);
            }
        }
    }
}

#[tokio::test]
async fn a_card_that_cannot_be_read_is_missing_and_then_asked_for_again() {
    let scene = Scene::with(3, 1).await;
    scene.registry.fail(Matcher::PathPart("/sources/".to_owned()), Fault::Status(503));
    let contents = scene.read_all().await;
    assert!(contents.cards.is_empty(), "unknown is not absent");
    scene.registry.clear_faults();
    let (changed, _) = scene.increment(&contents, &mut Memory::default()).await;
    assert_eq!(changed.unwrap().cards.into_values().flatten().collect::<Vec<_>>(), ["# Card".into()]);
}
