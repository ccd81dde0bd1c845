//! What happens in registries and clusters is what readers see: created, changed, put away, brought back, served.

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use serde_json::json;
use system_tests::Kept::{self, InConfigMap, InSqlite};
use system_tests::{Bridge, Reader, Sources};
use testkit::kube::samples::{InferenceService, owned_service_account, predictor_service};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_and_models_come_change_go_and_come_back(
    #[values(CatalogInfoYaml, ModelCatalogJson)] format: Format,
    #[values(InConfigMap, InSqlite)] kept: Kept,
) {
    let sources = Sources::with_cluster().await;
    let stays = sources.register("stays", "v1");
    let stays_uris = sources.true_uris(format);
    let bridge = Bridge::new(format, kept, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let reader = Reader::start(&bridge);
    reader.expect(stays_uris);
    let registry = sources.registry().edit();

    let granite = sources.register("granite", "v1");
    bridge.serves_truth_of(&sources).await;
    let second = sources.register_version(&granite.model, "v2");
    bridge.serves_truth_of(&sources).await;
    sources.describe(&granite, "Described anew.");
    bridge.serves_truth_of(&sources).await;
    registry.update_model(&granite.model, json!({"description": "Another model."})).unwrap();
    bridge.serves_truth_of(&sources).await;
    registry.archive_version(&second.version).unwrap();
    bridge.serves_truth_of(&sources).await;
    registry.unarchive_version(&second.version).unwrap();
    bridge.serves_truth_of(&sources).await;
    registry.archive_model(&granite.model).unwrap();
    bridge.serves_truth_of(&sources).await;
    registry.unarchive_model(&granite.model).unwrap();
    bridge.serves_truth_of(&sources).await;
    assert_eq!(sources.truth(format).len(), 3);
    sources.describe(&stays, "Changed, and there all the time.");
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_everything_was_archived_nothing_is_left(#[values(InConfigMap, InSqlite)] kept: Kept) {
    let sources = Sources::with_cluster().await;
    let all = sources.register_many("model", 15);
    let bridge = Bridge::new(ModelCatalogJson, kept, &sources).started();
    bridge.serves_truth_of(&sources).await;
    for version in &all {
        sources.registry().edit().archive_version(&version.version).unwrap();
    }
    bridge.serves_truth_of(&sources).await;
    assert!(bridge.uris().await.unwrap().is_empty());
    assert!(bridge.stored().await.unwrap().keys.is_empty());
}

#[rstest]
#[case(CatalogInfoYaml, InSqlite)]
#[case(ModelCatalogJson, InConfigMap)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_server_is_there_while_its_service_is_ready(#[case] format: Format, #[case] kept: Kept) {
    let sources = Sources::with_cluster().await;
    let granite = sources.register("granite", "v1");
    let bridge = Bridge::new(format, kept, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));

    sources.replace(granite.service("granite-serving").not_ready());
    bridge.compares().await;
    bridge.serves_truth_of(&sources).await;
    let service = sources.serve(&granite, "granite-serving");
    bridge.serves_truth_of(&sources).await;
    assert!(sources.truth(format).values().all(|shown| shown.server.is_some()));
    sources.kube().apply(predictor_service(&service, 8080));
    sources.kube().apply(owned_service_account(&service, "granite-serving-sa"));
    sources.replace(granite.service("granite-serving").annotation("security.opendatahub.io/enable-auth", "true"));
    bridge.serves_truth_of(&sources).await;
    sources.replace(granite.service("granite-serving").url("https://elsewhere.apps.example.com"));
    sources.kube().delete("ServiceAccount", "ai-models", "granite-serving-sa");
    bridge.serves_truth_of(&sources).await;
    sources.replace(granite.service("granite-serving").stopped());
    bridge.serves_truth_of(&sources).await;
    sources.serve(&granite, "granite-serving");
    bridge.serves_truth_of(&sources).await;
    sources.replace(granite.service("granite-serving").not_ready());
    bridge.serves_truth_of(&sources).await;
    sources.serve(&granite, "granite-serving");
    bridge.serves_truth_of(&sources).await;
    assert!(sources.kube().delete("InferenceService", "ai-models", "granite-serving"));
    bridge.serves_truth_of(&sources).await;
    assert!(sources.truth(format).values().all(|shown| shown.server.is_none()));
    reader.finish();
}

#[rstest]
#[case(CatalogInfoYaml, InConfigMap)]
#[case(ModelCatalogJson, InSqlite)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_no_registry_knows_is_an_entry_while_it_is_ready(#[case] format: Format, #[case] kept: Kept) {
    let sources = Sources::with_cluster().await;
    sources.register("granite", "v1");
    let bridge = Bridge::new(format, kept, &sources).started();
    bridge.serves_truth_of(&sources).await;
    let reader = Reader::start(&bridge);
    reader.expect(sources.true_uris(format));
    let alone = || InferenceService::new("ai-models", "alone");

    sources.replace(alone().not_ready());
    bridge.compares().await;
    bridge.serves_truth_of(&sources).await;
    for _ in 0..2 {
        sources.replace(alone());
        bridge.serves_truth_of(&sources).await;
        assert_eq!(sources.truth(format).len(), 2);
        sources.replace(alone().stopped());
        bridge.serves_truth_of(&sources).await;
        assert_eq!(sources.truth(format).len(), 1);
    }
    sources.replace(alone());
    bridge.serves_truth_of(&sources).await;
    sources.kube().delete("InferenceService", "ai-models", "alone");
    bridge.serves_truth_of(&sources).await;
    reader.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_a_registry_comes_to_know_moves_to_its_version() {
    let sources = Sources::with_cluster().await;
    let bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources).started();
    sources.serve_unregistered("granite-serving");
    bridge.serves_truth_of(&sources).await;
    let granite = sources.register("granite", "v1");
    bridge.serves_truth_of(&sources).await;
    let registry = sources.registry().edit();
    let environment = registry.create_serving_environment("ai-models", json!({}));
    let fields = json!({"registeredModelId": granite.model, "modelVersionId": granite.version});
    let record = registry.create_inference_service(&environment, "granite-serving/1", fields);
    bridge.serves_truth_of(&sources).await;
    assert_eq!(sources.truth(ModelCatalogJson).len(), 1);
    registry.update_inference_service(&record, json!({"desiredState": "UNDEPLOYED"})).unwrap();
    bridge.serves_truth_of(&sources).await;
    assert_eq!(sources.truth(ModelCatalogJson).len(), 2);
}

/// A world that does not change costs neither the registry more than its polls nor storage any write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_world_is_written_once() {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 5);
    sources.serve_unregistered("alone");
    let bridge = Bridge::new(CatalogInfoYaml, InConfigMap, &sources).started();
    bridge.serves_truth_of(&sources).await;
    bridge.compares().await;
    sources.kube().clear_requests();
    bridge.compares().await;
    bridge.reads_registries().await;
    let written = sources.kube().count(|request| request.method != "GET");
    assert_eq!(written, 0, "{:?}", sources.kube().requests());
}
