//! What a cluster's events ask of a registry that is hardly ever polled.

use serde_json::json;
use testkit::kube::KubeApi;
use testkit::kube::samples::InferenceService;
use testkit::registry::{Fault, Matcher, ScriptedRegistry};
use testkit::wait::eventually;

use super::storage::CountingStorage;
use super::{DEADLINE, Normalizer, holds, model};

/// A registry of one version `a_v0`, which was read and is not polled again while a test runs, and a cluster.
struct Scene {
    registry: ScriptedRegistry,
    cluster: KubeApi,
    storage: CountingStorage,
    normalizer: Normalizer,
    /// The ids of `a_v0` and its model.
    known: (String, Vec<String>),
}

impl Scene {
    async fn new() -> Self {
        let registry = ScriptedRegistry::start().await;
        let known = model(registry.edit(), "a", 1);
        let cluster = KubeApi::builder().with_kserve().namespace("ai").start().await;
        let storage = CountingStorage::start().await;
        let directory = tempfile::tempdir().unwrap();
        let flags = [
            format!("--mr-url=lab={}", registry.url()),
            format!("--kubeconfig={}", cluster.write_kubeconfig(directory.path()).display()),
            "--polling-interval=1h".to_owned(),
            "--probe-interval=0s".to_owned(),
        ];
        let normalizer = Normalizer::start(&storage, &flags).await;
        holds(&storage, &["a_v0"]).await;
        storage.take_upserts();
        registry.clear();
        Self { registry, cluster, storage, normalizer, known }
    }

    /// A service `ai/served` whose labels name that version.
    fn serve(&self, model: &str, version: &str) {
        self.cluster.apply(serving(model, version).build());
    }
}

fn serving(model: &str, version: &str) -> InferenceService {
    InferenceService::new("ai", "served")
        .label("modelregistry.opendatahub.io/registered-model-id", model)
        .label("modelregistry.opendatahub.io/model-version-id", version)
}

#[tokio::test]
async fn a_cluster_event_asks_the_registry_nothing() {
    let Scene { registry, cluster, storage, normalizer, known } = Scene::new().await;
    cluster.apply(serving(&known.0, &known.1[0]).build());
    eventually(DEADLINE, "the server is published", async || storage.take_upserts() == ["a_v0"]).await;
    cluster.delete("InferenceService", "ai", "served");
    eventually(DEADLINE, "the server is taken back", async || storage.take_upserts() == ["a_v0"]).await;
    assert_eq!(registry.total(), 0, "{:?}", registry.requests());
    normalizer.stop().await;
}

#[tokio::test]
async fn a_model_that_is_registered_and_served_at_once_is_never_shown_as_a_service_of_no_registry() {
    let scene = Scene::new().await;
    let (model_id, versions) = model(scene.registry.edit(), "b", 1);
    scene.serve(&model_id, &versions[0]);
    holds(&scene.storage, &["a_v0", "b_v0"]).await;
    assert_eq!(scene.storage.take_upserts(), ["b_v0"]);

    // Its next version takes the service over.
    let next = scene.registry.edit().create_version(&model_id, "v1", json!({}));
    scene.serve(&model_id, &next);
    holds(&scene.storage, &["a_v0", "b_v0", "b_v1"]).await;
    eventually(DEADLINE, "the old one has no server", async || {
        let upserts = scene.storage.seen().upserts.clone();
        if upserts.iter().any(|key| key == "b_v0") { Ok(()) } else { Err(upserts) }
    })
    .await;
    let upserts = scene.storage.take_upserts();
    assert!(upserts.iter().all(|key| key.starts_with("b_v")), "{upserts:?}");
    scene.normalizer.stop().await;
}

#[tokio::test]
async fn a_service_whose_labels_name_nothing_is_shown_once_the_registry_was_read_again() {
    let scene = Scene::new().await;
    scene.serve("900", "901");
    holds(&scene.storage, &["a_v0", "ai_served"]).await;
    let requests = scene.registry.total();
    assert!((1..=5).contains(&requests), "one look at what is new: {:?}", scene.registry.requests());

    // What changes of it later is no reason to look again.
    scene.cluster.apply(serving("900", "901").url("https://elsewhere.example.com").build());
    eventually(DEADLINE, "the change is sent", async || scene.storage.seen().upserts.len() >= 2).await;
    assert_eq!(scene.registry.total(), requests);
    scene.normalizer.stop().await;
}

#[tokio::test]
async fn a_service_that_a_registry_may_know_waits_while_that_cannot_be_read() {
    let scene = Scene::new().await;
    let (model_id, versions) = model(scene.registry.edit(), "b", 1);
    scene.registry.fail(Matcher::Any, Fault::Status(503));
    scene.serve(&model_id, &versions[0]);
    eventually(DEADLINE, "the registry is asked", async || scene.registry.total() > 0).await;
    scene.cluster.apply(InferenceService::new("ai", "of-no-registry").build());
    holds(&scene.storage, &["a_v0", "ai_of-no-registry"]).await;
    let status = scene.normalizer.status().await.to_string();
    assert!(status.contains("waits, if it is new"), "{status}");

    scene.registry.clear_faults();
    holds(&scene.storage, &["a_v0", "ai_of-no-registry", "b_v0"]).await;
    assert_eq!(scene.storage.take_upserts(), ["ai_of-no-registry", "b_v0"]);
    scene.normalizer.stop().await;
}
