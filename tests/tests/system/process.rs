//! How the binaries behave as processes: their end, their errors, their health pages and logs.

use std::net::TcpListener;
use std::time::Duration;

use model_catalog::render::Format::{CatalogInfoYaml, ModelCatalogJson};
use rstest::rstest;
use serde_json::{Value, json};
use system_tests::Kept::{InConfigMap, InSqlite};
use system_tests::{Bridge, Process, SOON, Service, Settings, Sources, http, port};
use testkit::eventually;
use testkit::kube::Fault as KubeFault;
use testkit::registry::{Fault, Matcher};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const TEN_SECONDS: Duration = Duration::from_secs(10);

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_an_idle_service_with_success(
    #[values(Service::Normalizer, Service::Storage, Service::Location)] service: Service,
) {
    let sources = Sources::with_cluster().await;
    sources.register("granite", "v1");
    let mut bridge = Bridge::new(CatalogInfoYaml, InConfigMap, &sources).started();
    bridge.serves_truth_of(&sources).await;
    assert_eq!(bridge.terminate(service).await.code(), Some(0));
    assert!(bridge.log(service).contains("SIGTERM"));
    bridge.start(service);
    sources.register("second", "v1");
    bridge.serves_truth_of(&sources).await;
}

/// With requests under way to peers that do not answer, and clients that do not finish theirs.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_busy_service_with_success(
    #[values(Service::Normalizer, Service::Storage, Service::Location)] service: Service,
) {
    let sources = Sources::with_cluster().await;
    sources.register_many("model", 20);
    let mut bridge = Bridge::new(CatalogInfoYaml, InConfigMap, &sources);
    let is_write = |request: &testkit::kube::RecordedRequest| request.method != "GET";
    let (silent, _kept) = silent_peer().await;
    match service {
        // In the middle of reading and of sending.
        Service::Normalizer => {
            sources.registry().fail("/artifacts", Fault::Delay(Duration::from_mins(1)));
            bridge.set(Service::Normalizer, "STORAGE_URL", &silent);
        }
        // In the middle of writing, of delivering and of importing.
        Service::Storage => {
            bridge.set(Service::Storage, "LOCATION_URL", &silent);
            bridge.set(Service::Storage, "PUSH_TO_RHDH", "true");
            bridge.set(Service::Storage, "BKSTG_URL", &silent);
            std::mem::forget(sources.kube().fail_while(is_write, KubeFault::Delay(Duration::from_secs(3))));
        }
        Service::Location => bridge.set(Service::Location, "STORAGE_URL", &silent),
    }
    bridge.start_all();
    let healthy = async || bridge.get(service, "/healthz").await;
    eventually(SOON, "it listens", healthy).await;
    match service {
        Service::Normalizer => {
            let asked = async || sources.registry().count(Matcher::PathPart("/artifacts".to_owned())) > 0;
            eventually(SOON, "it reads", asked).await;
        }
        Service::Storage => eventually(SOON, "it writes", async || sources.kube().count(is_write) > 0).await,
        Service::Location => {}
    }
    let mut half = TcpStream::connect(bridge.url(service).trim_start_matches("http://")).await.unwrap();
    let head = "POST /upsert?key=a_b&type=kubeflow HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"body\":";
    half.write_all(head.as_bytes()).await.unwrap();
    let mut idle = TcpStream::connect(bridge.url(service).trim_start_matches("http://")).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();

    bridge.process_mut(service).terminate();
    let status = bridge.process_mut(service).ended(TEN_SECONDS).await;
    assert_eq!(status.code(), Some(0));
}

/// Takes connections and never says anything on them.
async fn silent_peer() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    (url, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_under_way_is_answered_before_the_end() {
    let sources = Sources::with_cluster().await;
    let mut bridge = Bridge::new(CatalogInfoYaml, InConfigMap, &sources);
    bridge.start(Service::Storage);
    bridge.ready(Service::Storage).await;
    let is_write = |request: &testkit::kube::RecordedRequest| request.method != "GET";
    let _slow = sources.kube().fail_while(is_write, KubeFault::Delay(Duration::from_secs(1)));
    sources.kube().clear_requests();
    let url = format!("{}/upsert?key=a_b&type=kubeflow", bridge.url(Service::Storage));
    let body = json!({"body": "YQ==", "lastUpdateTimeSinceEpoch": "1"});
    let answer = tokio::spawn(http().post(url).json(&body).send());
    eventually(SOON, "storage writes", async || sources.kube().count(is_write) > 0).await;
    bridge.process_mut(Service::Storage).terminate();
    assert_eq!(answer.await.unwrap().unwrap().status(), 201);
    assert_eq!(bridge.process_mut(Service::Storage).ended(TEN_SECONDS).await.code(), Some(0));
    let stored = sources.kube().get_object("ConfigMap", "default", "bac-import-model").unwrap();
    assert!(stored["binaryData"]["a_b"].is_string());
}

#[rstest]
#[case(Service::Normalizer, "NORMALIZER_ADMIN_ADDRESS", "--admin-address")]
#[case(Service::Storage, "STORAGE_LISTEN_ADDRESS", "--listen-address")]
#[case(Service::Location, "LOCATION_LISTEN_ADDRESS", "--listen-address")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_an_error_that_names_the_setting(
    #[case] service: Service,
    #[case] variable: &str,
    #[case] flag: &str,
) {
    let sources = Sources::without_cluster().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources).with(service, variable, &address);
    let mut process = Process::run(service.program(), &[], bridge.settings(service), SOON).await;
    assert!(process.code().is_some_and(|code| code != 0));
    let said = process.said();
    assert!(said.contains(variable) && said.contains(flag) && said.contains(&address), "{said}");
}

#[rstest]
#[case(Service::Normalizer, "POLLING_INTERVAL", "5 minutes")]
#[case(Service::Normalizer, "POLLING_INTERVAL", "0s")]
#[case(Service::Normalizer, "POLLING_INTERVAL", "-2m")]
#[case(Service::Normalizer, "NORMALIZER_FORMAT", "Toml")]
#[case(Service::Normalizer, "MR_URL", "registry.example.com")]
#[case(Service::Normalizer, "MR_URL", "http://")]
#[case(Service::Normalizer, "STORAGE_URL", "ftp://storage")]
#[case(Service::Normalizer, "NORMALIZER_ADMIN_ADDRESS", "8080")]
#[case(Service::Normalizer, "DEFAULT_OWNER", "!!")]
#[case(Service::Normalizer, "REGISTRY_CA", "/nowhere/ca.pem")]
#[case(Service::Normalizer, "REGISTRY_INSECURE_SKIP_TLS_VERIFY", "perhaps")]
#[case(Service::Normalizer, "KUBECONFIG", "/nowhere/kubeconfig")]
#[case(Service::Normalizer, "NAMESPACE", "Not_A_Namespace")]
#[case(Service::Normalizer, "STORAGE_CA", "/nowhere/ca.pem")]
#[case(Service::Location, "STORAGE_CA", "/nowhere/ca.pem")]
#[case(Service::Normalizer, "KSERVE_MANIFESTS", "/nowhere/services.yaml")]
#[case(Service::Normalizer, "LOG_LEVEL", "=loud=")]
#[case(Service::Normalizer, "LOG_FORMAT", "xml")]
#[case(Service::Storage, "STORAGE_TYPE", "Etcd")]
#[case(Service::Storage, "STORAGE_TYPE", "GitHub")]
#[case(Service::Storage, "STORAGE_GITHUB_REPOSITORY", "models")]
#[case(Service::Storage, "STORAGE_GITHUB_COMMIT_INTERVAL", "1h")]
#[case(Service::Storage, "SQLITE_PATH", "/nowhere/storage.sqlite")]
#[case(Service::Storage, "PUSH_TO_RHDH", "perhaps")]
#[case(Service::Storage, "BKSTG_URL", "backstage")]
#[case(Service::Storage, "BRIDGE_URL", "bridge:9090")]
#[case(Service::Storage, "LOCATION_URL", "location")]
#[case(Service::Storage, "NORMALIZER_FORMAT", "Json")]
#[case(Service::Storage, "POD_IP", "pod")]
#[case(Service::Location, "STORAGE_URL", "storage")]
#[case(Service::Location, "NORMALIZER_FORMAT", "catalog-info.yaml")]
#[case(Service::Location, "LOCATION_RESYNC_INTERVAL", "soon")]
#[case(Service::Location, "OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]
#[case(Service::Storage, "OTEL_TRACES_SAMPLER", "xray")]
#[case(Service::Normalizer, "OTEL_TRACES_SAMPLER_ARG", "2")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_value_stops_the_start_with_a_message_that_names_it(
    #[case] service: Service,
    #[case] variable: &str,
    #[case] value: &str,
) {
    let sources = Sources::with_cluster().await;
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources).with(service, variable, value);
    let mut process = Process::run(service.program(), &[], bridge.settings(service), SOON).await;
    assert!(process.code().is_some_and(|code| code != 0));
    let said = process.said();
    assert!(said.contains(variable), "{variable}: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_map_without_cluster_credentials_is_an_error_that_names_both_settings() {
    let sources = Sources::without_cluster().await;
    let bridge = Bridge::new(CatalogInfoYaml, InConfigMap, &sources);
    let mut process = Process::run("storage-rest", &[], bridge.settings(Service::Storage), SOON).await;
    assert!(process.code().is_some_and(|code| code != 0));
    let said = process.said();
    assert!(said.contains("STORAGE_TYPE") && said.contains("KUBECONFIG"), "{said}");
}

#[rstest]
#[case::with_a_cluster(true, "ConfigMap")]
#[case::without_one(false, "SQLite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_storage_type_cluster_credentials_decide(#[case] cluster: bool, #[case] said: &str) {
    let sources = if cluster { Sources::with_cluster().await } else { Sources::without_cluster().await };
    sources.register("granite", "v1");
    let bridge = Bridge::new(CatalogInfoYaml, InSqlite, &sources).with(Service::Storage, "STORAGE_TYPE", "").started();
    bridge.serves_truth_of(&sources).await;
    bridge.logs(Service::Storage, said).await;
    assert_eq!(bridge.sqlite().exists(), !cluster);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_readiness_and_metrics_are_there_and_true() {
    let sources = Sources::without_cluster().await;
    sources.register("granite", "v1");
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    bridge.start(Service::Normalizer);
    bridge.start(Service::Location);
    // Neither has storage, which they cannot do without.
    for service in [Service::Normalizer, Service::Location] {
        let healthy = async || bridge.get(service, "/healthz").await;
        assert_eq!(eventually(SOON, "it listens", healthy).await.0, 200);
    }
    bridge.fails_to_store().await;
    for service in [Service::Normalizer, Service::Location] {
        let (status, body) = bridge.get(service, "/readyz").await.unwrap();
        let reason: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 503 && reason["error"].is_string(), "{service:?}: {status} {body}");
    }
    bridge.start(Service::Storage);
    for service in Service::ALL {
        bridge.ready(service).await;
        let (status, metrics) = bridge.get(service, "/metrics").await.unwrap();
        assert!(status == 200 && metrics.contains("_ready 1"), "{service:?}: {metrics}");
        let (status, body) = bridge.get(service, "/no/such/page/here").await.unwrap();
        let error: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 404 && error["error"].is_string(), "{service:?}: {status} {body}");
    }
    bridge.serves_truth_of(&sources).await;
}

/// While nothing could be read yet, there is no telling that storage is in step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_normalizer_that_has_neither_registry_nor_storage_is_not_ready() {
    let sources = Sources::without_cluster().await;
    sources.registry().stop().await;
    let mut bridge = Bridge::new(ModelCatalogJson, InSqlite, &sources);
    bridge.start(Service::Normalizer);
    bridge.fails_to_read().await;
    let (status, body) = bridge.get(Service::Normalizer, "/readyz").await.unwrap();
    assert_eq!(status, 503, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_logs_are_json_line_by_line() {
    let sources = Sources::with_cluster().await;
    let versions = sources.register_many("model", 2);
    let mut bridge = Bridge::new(ModelCatalogJson, InConfigMap, &sources);
    for service in Service::ALL {
        bridge.set(service, "LOG_FORMAT", "json");
        bridge.set(service, "LOG_LEVEL", "debug");
    }
    bridge.start_all();
    bridge.serves_truth_of(&sources).await;
    // Errors are events, too.
    sources.registry().fail(Matcher::Any, Fault::Html);
    bridge.fails_to_read().await;
    sources.registry().clear_faults();
    sources.describe(&versions[0], "A \"quoted\"\nline.");
    bridge.restart(Service::Storage);
    bridge.serves_truth_of(&sources).await;
    for service in Service::ALL {
        let code = bridge.terminate(service).await.code();
        assert_eq!(code, Some(0));
        let log = bridge.log(service);
        assert!(log.lines().count() > 3, "{service:?}: {log}");
        for line in log.lines() {
            let event: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{service:?}: {error}: {line}"));
            for field in ["timestamp", "level", "message", "target"] {
                assert!(event[field].is_string(), "{service:?} has no {field}: {line}");
            }
        }
    }
}

#[rstest]
#[case("normalizer", &["MR_URL", "MR_ROUTE", "KFMR_TOKEN", "POLLING_INTERVAL", "DEFAULT_OWNER", "KUBECONFIG", "STORAGE_URL"])]
#[case("storage-rest", &["STORAGE_TYPE", "RHDH_TOKEN", "BKSTG_URL", "BRIDGE_URL", "PUSH_TO_RHDH", "NAMESPACE", "POD_IP"])]
#[case("location", &["STORAGE_URL", "NORMALIZER_FORMAT", "POD_IP", "LOG_FORMAT"])]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_explains_the_settings(#[case] program: &str, #[case] settings: &[&str]) {
    let mut process = Process::run(program, &["--help"], &Settings::new(), SOON).await;
    assert_eq!(process.code(), Some(0));
    let said = process.output();
    for setting in settings {
        assert!(said.contains(setting), "{setting}: {said}");
    }
}

/// The harness gives out ports below the range of outgoing connections, each once.
#[test]
fn ports_are_given_out_once() {
    let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| port()).collect();
    assert_eq!(ports.len(), 50);
    assert!(ports.iter().all(|port| *port < 32_768));
}
