//! What the bridge makes of the samples, once KServe has made them ready.

use serde_json::{Value, json};
use testkit::kube::samples::InferenceService;
use testkit::registry::ScriptedRegistry;

use crate::manifests::{EVERYTHING, render, text, texts};
use crate::rights::world::World;

/// Serves the one InferenceService of a sample, and says what location has for it.
async fn shown(sample: &str, uri: &str, settings: &[(&str, &str)]) -> Option<Value> {
    let manifests = render(sample)?;
    let world = World::new(&render(EVERYTHING)?, None).await;
    let mut service = manifests.of_kind("InferenceService").next().expect("an InferenceService").clone();
    let runtime = manifests.of_kind("ServingRuntime").next().expect("a ServingRuntime");
    assert_eq!(service["spec"]["predictor"]["model"]["runtime"], runtime["metadata"]["name"]);
    let (namespace, name) = (text(&service["metadata"]["namespace"]), text(&service["metadata"]["name"]));
    service["status"] = InferenceService::new(&namespace, &name).build()["status"].take();
    world.kube.apply(service);
    world.start_all(settings).await;
    let seen = world.reaches(uri, async || world.documents().await?.remove(uri).ok_or_else(|| "not listed".to_owned()));
    Some(seen.await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_only_kserve_knows_is_shown_by_its_annotations() {
    let uri = "/ai-tutorials/mnist-onnx/model-catalog.json";
    let Some(document) = shown("deploy/samples/mnist/kserve-only", uri, &[]).await else { return };
    let model = &document["models"][0];
    assert_eq!(model["name"], "ai-tutorials-mnist-onnx");
    assert_eq!((&model["owner"], &model["lifecycle"]), (&json!("enablement"), &json!("experimental")));
    assert_eq!(model["description"], "Recognises handwritten digits; the model of the tutorials.");
    assert_eq!(model["howToUseURL"], "https://docs.example.com/tutorials/mnist");
    assert!(model["license"].as_str().is_some_and(|license| license.contains("MIT")), "{model}");
    assert!(texts(&model["tags"]).iter().any(|tag| tag.contains("enablement")), "{model}");
    assert_eq!(model["artifactLocationURL"], "https://models.example.com/mnist/12/mnist.onnx");
    assert!(document["modelServer"]["API"]["url"].is_string(), "{document}");
}

/// The first model that is registered has the ids of the sample's labels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_model_is_shown_with_its_server() {
    let registry = ScriptedRegistry::start().await;
    let seed =
        std::fs::read_to_string(crate::manifests::root().join("deploy/model-registry/seed/models.json")).unwrap();
    let seed: Value = serde_json::from_str(&seed).unwrap();
    let (model, version) = (&seed["models"][0], &seed["models"][0]["versions"][0]);
    let id = registry.edit().create_model(&text(&model["name"]), json!({"description": model["description"]}));
    registry.edit().create_version(&id, &text(&version["name"]), json!({}));
    let named = format!("demo-registry={}", registry.url());
    let uri = "/mnist/v12/model-catalog.json";
    let Some(document) = shown("deploy/samples/mnist/registered", uri, &[("MR_URL", &named)]).await else { return };
    assert_eq!(document["models"][0]["name"], "mnist-v12");
    assert_eq!(document["modelServer"]["authentication"], true);
    assert!(document["modelServer"]["API"]["url"].is_string(), "{document}");
}
