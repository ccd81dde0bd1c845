//! What people run by hand: `demo`, `up` and `render`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use model_catalog::render::Format::{self, CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use serde_json::{Value, json};
use system_tests::Kept::InSqlite;
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources, http};
use testkit::registry::{Fault, Matcher};

const BRIDGE: &str = "model-catalog-bridge";
const A_MINUTE: Duration = Duration::from_mins(1);

fn home(bridge: &Bridge) -> Settings {
    Settings::from([("HOME".to_owned(), bridge.directory().display().to_string())])
}

async fn nowhere() -> (Sources, Bridge) {
    let sources = Sources::without_cluster().await;
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
    (sources, bridge)
}

#[rstest]
#[case("yaml", "catalog-info.yaml")]
#[case("json", "model-catalog.json")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_serves_all_that_it_promises_and_ends(#[case] format: &str, #[case] file: &str) {
    let (_, bridge) = nowhere().await;
    let arguments = ["demo", "--once", "--port", "0", "--format", format];
    let mut demo = Process::run(BRIDGE, &arguments, &home(&bridge), A_MINUTE).await;
    assert_eq!(demo.code(), Some(0));
    let said = demo.output();
    assert!(said.contains(file) && said.contains("entries are served"), "{said}");
}

/// Settings in the environment are for real bridges; the demo must not touch what they name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_minds_no_settings_of_real_bridges() {
    let (sources, bridge) = nowhere().await;
    let mut settings = home(&bridge);
    for (name, value) in [
        ("MR_URL", sources.named_registries()),
        ("STORAGE_URL", "http://127.0.0.1:9".to_owned()),
        ("LOCATION_URL", "http://127.0.0.1:9".to_owned()),
        ("STORAGE_TYPE", "ConfigMap".to_owned()),
        ("NORMALIZER_FORMAT", "JsonArrayFormat".to_owned()),
        ("PUSH_TO_RHDH", "true".to_owned()),
        ("KUBECONFIG", "/nowhere/kubeconfig".to_owned()),
        ("KFMR_TOKEN", "secret".to_owned()),
        ("POD_IP", "10.1.2.3".to_owned()),
        ("MR_ROUTE", "registry".to_owned()),
    ] {
        settings.insert(name.to_owned(), value);
    }
    let mut demo = Process::run(BRIDGE, &["demo", "--once", "--port", "0"], &settings, A_MINUTE).await;
    assert_eq!(demo.code(), Some(0), "{}", demo.said());
    assert_eq!(sources.registry().total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_goes_on_until_it_is_stopped_and_its_curl_lines_work() {
    let (_, bridge) = nowhere().await;
    let mut demo = Process::start(BRIDGE, &["demo", "--port", "0"], &home(&bridge));
    testkit::eventually(A_MINUTE, "it says how to look further", async || demo.output().contains("Ctrl-C")).await;
    let said = demo.output();
    let lines: Vec<&str> = said.lines().filter_map(|line| line.trim().strip_prefix("curl ")).collect();
    assert!(lines.len() >= 3, "{said}");
    for url in lines {
        let answer = http().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
    }
    demo.terminate();
    assert_eq!(demo.ended(Duration::from_secs(10)).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_names_a_port_that_is_taken() {
    let (_, bridge) = nowhere().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut demo = Process::run(BRIDGE, &["demo", "--once", "--port", &port], &home(&bridge), SOON).await;
    assert!(demo.code().is_some_and(|code| code != 0));
    let said = demo.said();
    assert!(said.contains("--port") && said.contains(&port), "{said}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_is_the_whole_bridge_in_one_process(#[values(CatalogInfoYaml, ModelCatalogJson)] format: Format) {
    let sources = Sources::with_cluster().await;
    let granite = sources.register("granite", "v1");
    sources.serve(&granite, "served");
    let bridge = Bridge::new(format, InSqlite, &sources);
    let mut settings = Settings::new();
    for service in Service::ALL {
        settings.extend(bridge.settings(service).clone());
    }
    // They find each other.
    settings.retain(|name, _| !matches!(name.as_str(), "STORAGE_URL" | "LOCATION_URL"));
    let mut up = Process::start(BRIDGE, &["up"], &settings);
    bridge.serves_truth_of(&sources).await;
    sources.describe(&granite, "Changed.");
    sources.kube().delete("InferenceService", "ai-models", "served");
    bridge.serves_truth_of(&sources).await;
    up.terminate();
    assert_eq!(up.ended(Duration::from_secs(10)).await.code(), Some(0));
}

#[rstest]
#[case(Service::Normalizer, "NORMALIZER_ADMIN_ADDRESS")]
#[case(Service::Storage, "STORAGE_LISTEN_ADDRESS")]
#[case(Service::Location, "LOCATION_LISTEN_ADDRESS")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn up_ends_when_one_of_the_three_cannot_start(#[case] service: Service, #[case] variable: &str) {
    let sources = Sources::without_cluster().await;
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::new();
    for service in Service::ALL {
        settings.extend(bridge.settings(service).clone());
    }
    settings.insert(variable.to_owned(), taken.local_addr().unwrap().to_string());
    let mut up = Process::run(BRIDGE, &["up"], &settings, SOON).await;
    assert!(up.code().is_some_and(|code| code != 0));
    let said = up.said();
    assert!(said.contains(variable) && said.contains(service.program()), "{said}");
}

const MANIFEST: &str = r#"
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: alone, namespace: ai-models}
spec: {predictor: {model: {modelFormat: {name: onnx}, storageUri: "oci://registry.example.com/alone:1"}}}
status:
  url: https://alone.apps.example.com
  conditions: [{type: Ready, status: "True"}]
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: stopped, namespace: ai-models, annotations: {serving.kserve.io/stop: "true"}}
spec: {predictor: {model: {modelFormat: {name: onnx}}}}
"#;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn render_prints_entries_and_diagnostics_and_sends_nothing(
    #[values(CatalogInfoYaml, ModelCatalogJson)] format: Format,
) {
    let (sources, bridge) = nowhere().await;
    sources.register("granite", "v1");
    sources.register("mnist", "v1");
    let registry = sources.registry().edit();
    let model = registry.create_model("odd", json!({"properties": {"License": "a licence of our own"}}));
    registry.create_version(&model, "v1", json!({}));
    let manifest = bridge.directory().join("services.yaml");
    std::fs::write(&manifest, MANIFEST).unwrap();
    let url = sources.registry().url().to_string();
    let arguments =
        ["render", "--registry", &url, "--manifests", manifest.to_str().unwrap(), "--format", format.setting()];
    let mut render = Process::run(BRIDGE, &arguments, &home(&bridge), SOON).await;
    assert_eq!(render.code(), Some(0), "{}", render.said());
    let printed = render.output();
    let uris = ["/granite/v1/", "/mnist/v1/", "/odd/v1/", "/ai-models/alone/"]
        .map(|uri| format!("{uri}{}", format.file_name()));
    match format {
        ModelCatalogJson => {
            let entries: BTreeMap<String, Value> = serde_json::from_str(&printed).unwrap();
            assert_eq!(entries.len(), 4);
            for (uri, entry) in &entries {
                assert!(uris.contains(uri) && entry["models"].is_array(), "{uri}");
            }
        }
        CatalogInfoYaml => {
            for uri in &uris {
                assert!(printed.contains(uri), "{printed}");
            }
            let documents = serde_yaml::Deserializer::from_str(&printed);
            let entities: Vec<Value> = documents.map(|one| serde::Deserialize::deserialize(one).unwrap()).collect();
            assert_eq!(entities.len(), 6, "four models, a server and its API");
        }
    }
    let log = render.log().join("\n");
    assert!(log.contains("a licence of our own") && log.contains("4 entries"), "{log}");
    assert!(log.contains("ai-models/stopped"), "{log}");
    assert!(sources.registry().requests().iter().all(|request| request.method == "GET"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn render_fails_with_the_source_that_cannot_be_read() {
    let (sources, bridge) = nowhere().await;
    sources.registry().fail(Matcher::Any, Fault::Status(401));
    let url = format!("team-a={}", sources.registry().url());
    let mut render = Process::run(BRIDGE, &["render", "--registry", &url], &home(&bridge), SOON).await;
    assert!(render.code().is_some_and(|code| code != 0));
    let said = render.said();
    assert!(said.contains("team-a") && said.contains("401"), "{said}");
}
