//! A ConfigMap that the Go bridge has written is carried on.

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use serde_json::Value;
use system_tests::Kept::InConfigMap;
use system_tests::{Bridge, Service, Sources};
use testkit::registry::{Fault, Matcher};

const YAML: &str =
    include_str!("../../../crates/storage-rest/tests/fixtures/go-bridge/CatalogInfoYamlFormat/configmap.json");
const JSON: &str = include_str!("../../../crates/storage-rest/tests/fixtures/go-bridge/JsonArrayFormat/configmap.json");

#[rstest]
#[case(CatalogInfoYaml, YAML, &["granite-0-lab", "granite-1-lab"])]
#[case(ModelCatalogJson, JSON, &["ai-models", "granite-0-lab", "granite-1-lab"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_entries_are_served_then_updated_in_place_and_removed_once_their_sources_were_read(
    #[case] format: Format,
    #[case] config_map: &str,
    #[case] served_at_first: &[&str],
) {
    let sources = Sources::with_cluster().await;
    let mut config_map: Value = serde_json::from_str(config_map).unwrap();
    config_map["metadata"]["namespace"] = "default".into();
    let before = sources.kube().apply(config_map);
    // `granite-1-lab` is gone, and `ai-models/mnist-v1` is there as ever.
    sources.register("granite-0-lab", "v1");
    sources.register("newcomer", "v1");
    sources.serve_unregistered("mnist-v1");
    sources.registry().fail(Matcher::Any, Fault::Status(500));
    let mut bridge = Bridge::new(format, InConfigMap, &sources);

    bridge.start(Service::Storage);
    bridge.start(Service::Location);
    bridge.ready(Service::Location).await;
    let first_segments = |uris: Vec<String>| -> Vec<String> {
        uris.iter().filter_map(|uri| uri.split('/').nth(1)).map(str::to_owned).collect()
    };
    assert_eq!(first_segments(bridge.uris().await.unwrap()), served_at_first);
    let as_go_wrote_it = bridge.documents().await.unwrap();

    bridge.start(Service::Normalizer);
    bridge.fails_to_read().await;
    bridge.compares().await;
    let while_unread = bridge.documents().await.unwrap();
    for (uri, document) in as_go_wrote_it.iter().filter(|(uri, _)| uri.contains("granite")) {
        assert_eq!(while_unread.get(uri), Some(document));
    }

    sources.registry().clear_faults();
    bridge.serves_truth_of(&sources).await;
    assert_eq!(sources.truth(format).len(), 3);
    let after = sources.kube().get_object("ConfigMap", "default", "bac-import-model").unwrap();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "the ConfigMap is the same one");
    let keys: Vec<&String> = after["binaryData"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ai-models_mnist-v1", "granite-0-lab_v1", "newcomer_v1"]);
}

/// What other people keep in the same ConfigMap is none of the bridge's business.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_entry_stays_in_the_config_map() {
    let sources = Sources::with_cluster().await;
    sources.kube().apply(serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "bac-import-model", "namespace": "default", "labels": {"team": "ai"}},
        "data": {"note": "hands off"}, "binaryData": {"strange": "AAEC"},
    }));
    let version = sources.register("granite", "v1");
    let bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources).started();
    bridge.serves_truth_of(&sources).await;
    sources.registry().edit().archive_version(&version.version).unwrap();
    sources.register("second", "v1");
    bridge.serves_truth_of(&sources).await;
    let after = sources.kube().get_object("ConfigMap", "default", "bac-import-model").unwrap();
    assert_eq!(after["data"]["note"], "hands off");
    assert_eq!(after["metadata"]["labels"]["team"], "ai");
    assert_eq!(after["binaryData"]["strange"], "AAEC");
}
