//! What KServe serves, in a registry: the two programs of the registry's binary, and the bridge that reads what they write.

use http::Method;
use model_catalog::render::Format::CatalogInfoYaml;
use serde_json::{Value, json};
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources, http, port};
use tempfile::TempDir;
use testkit::eventually;
use testkit::kube::KubeApi;
use testkit::kube::samples::InferenceService;

const PROGRAM: &str = "model-registry";
const MODEL: &str = "modelregistry.kubeflow.org/registered-model-id";

async fn ask(registry: &str, method: Method, path: &str, body: Value) -> Result<Value, String> {
    let request = http().request(method, format!("{registry}/api/model_registry/v1alpha3/{path}"));
    let request = if body.is_null() { request } else { request.json(&body) };
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let answer = answer.error_for_status().map_err(|error| error.to_string())?;
    answer.json().await.map_err(|error| error.to_string())
}

async fn make(registry: &str, path: &str, body: Value) -> String {
    let made = async || ask(registry, Method::POST, path, body.clone()).await;
    eventually(SOON, path, made).await["id"].as_str().unwrap().to_owned()
}

/// Waits for the one record, in that state.
async fn record(registry: &str, state: &str) -> Value {
    let what = format!("a record that is {state}");
    eventually(SOON, &what, async || {
        let listed = ask(registry, Method::GET, "inference_services", Value::Null).await?;
        match listed["items"].as_array().map(Vec::as_slice) {
            Some([record]) if record["desiredState"] == state => Ok(record.clone()),
            _ => Err(listed.to_string()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_served_model_is_recorded_and_its_end_too_and_the_bridge_reads_it() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().to_str().unwrap();
    let (registry_port, admin) = (port().to_string(), format!("127.0.0.1:{}", port()));
    let registry = format!("http://127.0.0.1:{registry_port}");
    let arguments = ["proxy", "--hostname", "127.0.0.1", "--port", &registry_port, "--data-dir", data];
    let mut serving = Process::start(PROGRAM, &arguments, &Settings::new());
    let model = make(&registry, "registered_models", json!({"name": "granite"})).await;
    make(&registry, "model_versions", json!({"name": "v1", "registeredModelId": model})).await;

    let kube = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).start().await;
    // Which version is served stands in no label: the bridge learns that from the record alone.
    kube.apply(InferenceService::new("models", "chat").label(MODEL, &model).build());
    let kubeconfig = kube.write_kubeconfig(directory.path()).to_str().unwrap().to_owned();
    let settings = Settings::from([
        ("MR_URL".to_owned(), registry.clone()),
        ("KUBECONFIG".to_owned(), kubeconfig.clone()),
        ("MR_ADMIN_ADDRESS".to_owned(), admin.clone()),
    ]);
    let mut reconciling = Process::start(PROGRAM, &["reconcile"], &settings);
    let deployed = record(&registry, "DEPLOYED").await;
    assert_eq!(deployed["customProperties"]["url"]["string_value"], "https://chat-models.apps.example.com/");
    let ready = async || {
        let answer = http().get(format!("http://{admin}/readyz")).send().await.map_err(|error| error.to_string())?;
        answer.error_for_status().map_err(|error| error.to_string())
    };
    eventually(SOON, "the reconciler is ready", ready).await;

    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &Sources { registries: Vec::new(), kube: None })
        .with(Service::Normalizer, "MR_URL", &registry)
        .with(Service::Normalizer, "KUBECONFIG", &kubeconfig)
        .started();
    let lists = async |expected: &[&str]| {
        let what = format!("location lists {expected:?}");
        eventually(SOON, &what, async || {
            let listed = bridge.uris().await?;
            if listed == expected { Ok(()) } else { Err(format!("{listed:?}")) }
        })
        .await;
    };
    // One entry, not two: the service belongs to the version.
    lists(&["/granite/v1/catalog-info.yaml"]).await;
    let shown = http().get(format!("{}/granite/v1/catalog-info.yaml", bridge.url(Service::Location)));
    let shown = shown.send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("chat-models.apps.example.com"), "{shown}");

    kube.delete("InferenceService", "models", "chat");
    let ended = record(&registry, "UNDEPLOYED").await;
    assert_eq!(ended["id"], deployed["id"]);
    for process in [&mut reconciling, &mut serving] {
        process.terminate();
        assert_eq!(process.ended(SOON).await.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_comparison_ends_with_what_came_of_it() {
    let directory = TempDir::new().unwrap();
    let kube = KubeApi::builder().with_kserve().start().await;
    let kubeconfig = kube.write_kubeconfig(directory.path()).to_str().unwrap().to_owned();
    let nobody = format!("http://127.0.0.1:{}", port());
    let settings = Settings::from([("KUBECONFIG".to_owned(), kubeconfig)]);
    let mut process = Process::run(PROGRAM, &["reconcile", "--once", "--url", &nobody], &settings, SOON).await;
    assert_eq!(process.code(), Some(1));
    assert!(process.said().contains("cannot connect"), "{}", process.said());
    let mut process = Process::run(PROGRAM, &["reconcile", "--once"], &settings, SOON).await;
    assert_eq!(process.code(), Some(2));
    assert!(process.said().contains("--url"), "{}", process.said());
}
