//! The demo's sample, which is the most like real data, through three separate processes; and model cards.

use std::collections::BTreeSet;

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use sample_registry::SampleRegistry;
use serde_json::{Value, json};
use system_tests::Kept::{InConfigMap, InSqlite};
use system_tests::{Bridge, SOON, Service, Sources, http};
use testkit::eventually;
use testkit::registry::ScriptedRegistry;

const REGISTRY: &str = include_str!("../../../deploy/samples/registry.yaml");
const SERVICES: &str = include_str!("../../../deploy/samples/inferenceservices.yaml");
const SCHEMA: &str = include_str!("../../../schema/model-catalog.schema.json");

#[rstest]
#[case::manifests_as_files(false)]
#[case::manifests_in_a_cluster(true)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_is_served_by_three_processes_and_every_document_is_valid(
    #[case] cluster: bool,
    #[values(CatalogInfoYaml, ModelCatalogJson)] format: Format,
) {
    let registry = SampleRegistry::new();
    registry.load_yaml(REGISTRY).unwrap();
    let mut expected: BTreeSet<(String, String)> = registry.live_versions().into_iter().collect();
    let mut sources = if cluster { Sources::with_cluster().await } else { Sources::without_cluster().await };
    // The name that the labels of the sample's services use.
    sources.registries = vec![("demo-registry".to_owned(), ScriptedRegistry::serving(registry).await)];
    let mut bridge = Bridge::new(format, InSqlite, &sources);
    if let Some(kube) = &sources.kube {
        kube.apply_yaml(SERVICES);
    } else {
        let file = bridge.directory().join("services.yaml");
        std::fs::write(&file, SERVICES).unwrap();
        bridge.set(Service::Normalizer, "KSERVE_MANIFESTS", &file.display().to_string());
    }
    expected.insert(("ai-tutorials".to_owned(), "mnist-onnx".to_owned()));
    bridge.start_all();
    eventually(SOON, "all of the sample is served", async || {
        let stored = bridge.stored().await?.entries.unwrap_or_default();
        let made_from = stored.into_iter().filter_map(|entry| entry.origin).map(|origin| (origin.first, origin.second));
        let found: BTreeSet<(String, String)> = made_from.collect();
        let served = bridge.uris().await?.len();
        if found == expected && served == found.len() { Ok(()) } else { Err(format!("{served}: {found:?}")) }
    })
    .await;
    let served = bridge.served().await.unwrap();
    assert!(served.values().any(|shown| shown.server.is_some()));
    if format == ModelCatalogJson {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        for (uri, document) in bridge.documents().await.unwrap() {
            let document: Value = serde_json::from_str(&document).unwrap();
            let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{uri}: {errors:?}");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn model_cards_are_served_follow_the_catalog_and_outlive_restarts(
    #[values(CatalogInfoYaml, ModelCatalogJson)] format: Format,
) {
    let sources = Sources::with_cluster().await;
    let registry = sources.registry().edit();
    registry.put_catalog_source("redhat_ai_models", json!({"name": "Red Hat AI"}));
    registry.put_catalog_model("redhat_ai_models", "RedHatAI/granite", "# Granite\n", json!({}));
    let granite = sources.register("granite", "v1");
    registry.create_artifact(
        &granite.version,
        "newest",
        json!({
            "uri": "oci://registry.example.com/models/card:1", "modelSourceKind": "catalog",
            "modelSourceClass": "redhat_ai_models", "modelSourceGroup": "RedHatAI", "modelSourceName": "granite",
        }),
    );
    let mut bridge =
        Bridge::new(format, InConfigMap, &sources).with(Service::Normalizer, "RESYNC_INTERVAL", "500ms").started();
    let card = async |bridge: &Bridge| -> Result<String, String> {
        let documents = bridge.documents().await?;
        let document = documents.values().next().ok_or("no document")?;
        let at = document.find("/modelcard?key=").ok_or("the document leads to no card")?;
        let path: String = document[at..].chars().take_while(|c| !matches!(c, '"' | '\n' | '\'')).collect();
        let answer = http().get(format!("{}{path}", bridge.url(Service::Location))).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let (status, kind) = (answer.status(), format!("{:?}", answer.headers().get("content-type")));
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if status == 200 && kind.contains("text/markdown") {
            Ok(text)
        } else {
            Err(format!("{path}: {status} {kind} {text}"))
        }
    };
    let reads = async |bridge: &Bridge, expected: &str| {
        eventually(SOON, "the card is served", async || {
            let text = card(bridge).await?;
            if text == expected { Ok(()) } else { Err(text) }
        })
        .await;
    };
    reads(&bridge, "# Granite\n").await;
    registry.put_catalog_model("redhat_ai_models", "RedHatAI/granite", "# Granite, again\n", json!({}));
    reads(&bridge, "# Granite, again\n").await;
    // The registry is away, so that nobody but storage knows the card.
    sources.registry().stop().await;
    bridge.kill_all();
    bridge.start_all();
    bridge.ready(Service::Location).await;
    for _ in 0..12 {
        assert_eq!(card(&bridge).await.unwrap(), "# Granite, again\n");
    }
    sources.registry().restart().await;
    bridge.reads_registries().await;
    reads(&bridge, "# Granite, again\n").await;
    registry.remove_catalog_model("redhat_ai_models", "RedHatAI/granite");
    eventually(SOON, "no card is left", async || {
        let documents = bridge.documents().await?;
        if documents.values().any(|text| text.contains("modelcard")) { Err(format!("{documents:?}")) } else { Ok(()) }
    })
    .await;
}

/// One entry that does not fit keeps no other from being served, and the log names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_for_the_config_map_is_left_out_alone() {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 5);
    let huge = sources.register("huge", "v1");
    sources.describe(&huge, &testkit::noisy_text(2_000_000));
    let bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources).started();
    let mut expected = sources.truth(ModelCatalogJson);
    expected.retain(|uri, _| !uri.contains("huge"));
    bridge.serves(&expected).await;
    bridge.logs(Service::Normalizer, "huge_v1").await;
    sources.describe(&huge, "Short.");
    bridge.serves_truth_of(&sources).await;
}
