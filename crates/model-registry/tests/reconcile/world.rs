//! A cluster, a registry, what is sent between the reconciler and the registry, and reconcilers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use clap::Parser as _;
use http::{Method, StatusCode};
use model_registry::reconcile;
use model_registry::run::{self, Registry};
use model_registry::settings::{Cli, Command, DatabaseSettings, ProxySettings, ReconcileSettings};
use serde_json::{Value, json};
use service::http_client::install_crypto_provider;
use service::telemetry::LogSettings;
use service::{Running, Shutdown};
use tempfile::TempDir;
use testkit::eventually;
use testkit::kube::samples::InferenceService;
use testkit::kube::{ADMIN_TOKEN, KubeApi};

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const KIND: &str = "InferenceService";
pub(crate) const ODH: &str = "modelregistry.opendatahub.io/";
pub(crate) const KUBEFLOW: &str = "modelregistry.kubeflow.org/";
/// The namespace of all services.
pub(crate) const SPACE: &str = "models";

/// What stands between the reconciler and the registry.
struct Front {
    registry: String,
    http: reqwest::Client,
    seen: Mutex<Vec<String>>,
    tokens: Mutex<Vec<String>>,
    is_down: AtomicBool,
    /// So many answers to writes still get lost.
    lost: AtomicUsize,
}

async fn forward(State(front): State<Arc<Front>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_start_matches("/api/model_registry/v1alpha3/").to_owned();
    front.seen.lock().unwrap().push(format!("{} {path}", parts.method));
    let token = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    front.tokens.lock().unwrap().extend(token);
    if front.is_down.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, "down").into_response();
    }
    let url = format!("{}{}", front.registry, parts.uri);
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let is_write = parts.method != Method::GET;
    let answer = front.http.request(parts.method, url).header("content-type", "application/json").body(body);
    let answer = answer.send().await.unwrap();
    let lose = |left: usize| left.checked_sub(1);
    if is_write && front.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
        return (StatusCode::BAD_GATEWAY, "lost").into_response();
    }
    let status = answer.status();
    (status, [("content-type", "application/json")], Body::from(answer.bytes().await.unwrap())).into_response()
}

/// All of it; it ends with its test.
pub(crate) struct World {
    pub(crate) kube: KubeApi,
    front: Arc<Front>,
    address: SocketAddr,
    directory: TempDir,
    shutdown: Shutdown,
    _registry: Registry,
}

/// A reconciler that runs.
pub(crate) struct Reconciler {
    running: Running,
    shutdown: Shutdown,
}

impl Reconciler {
    /// Stops it, and waits for its end.
    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        tokio::time::timeout(SOON, self.running.task).await.unwrap().unwrap().unwrap();
    }

    /// What a page of its own answers.
    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.get(format!("http://{}{path}", self.running.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        install_crypto_provider();
        let (directory, shutdown) = (tempfile::tempdir().unwrap(), Shutdown::new());
        let database = DatabaseSettings::sqlite_in(directory.path());
        let settings = ProxySettings::here(database, LogSettings::default());
        let registry = run::start(settings, shutdown.clone()).await.unwrap();
        registry.readiness.until_ready().await;
        let front = Arc::new(Front {
            registry: registry.url().unwrap().as_str().trim_end_matches('/').to_owned(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            seen: Mutex::default(),
            tokens: Mutex::default(),
            is_down: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(forward).with_state(Arc::clone(&front));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let kube = KubeApi::builder().with_kserve().namespace(SPACE).start().await;
        Self { kube, front, address, directory, shutdown, _registry: registry }
    }

    // --- Reconcilers ---

    pub(crate) fn settings(&self, more: &[&str]) -> ReconcileSettings {
        let url = format!("http://{}", self.address);
        let kubeconfig = self.kube.write_kubeconfig(self.directory.path());
        let fixed = ["model-registry", "reconcile", "--url", &url, "--kubeconfig", kubeconfig.to_str().unwrap()];
        let quick = ["--admin-address", "127.0.0.1:0", "--retry-min", "20ms", "--retry-max", "100ms"];
        match Cli::parse_from(fixed.iter().chain(&quick).chain(more)).command {
            Command::Reconcile(settings) => *settings,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn start(&self, more: &[&str]) -> Reconciler {
        let shutdown = self.shutdown.child();
        let running = Box::pin(reconcile::start(self.settings(more), shutdown.clone())).await.unwrap();
        Reconciler { running, shutdown }
    }

    pub(crate) async fn once(&self, more: &[&str]) -> Result<(), String> {
        let settings = self.settings(&[&["--once"], more].concat());
        Box::pin(reconcile::run(settings, Shutdown::new())).await.map_err(|error| format!("{error:#}"))
    }

    // --- The cluster ---

    /// Applies an InferenceService with these labels, each below the prefix.
    pub(crate) fn serve(&self, name: &str, prefix: &str, labels: &[(&str, &str)]) -> Value {
        let service = InferenceService::new(SPACE, name);
        let labelled =
            labels.iter().fold(service, |service, (label, value)| service.label(&format!("{prefix}{label}"), value));
        self.kube.apply(labelled.build())
    }

    /// Applies an InferenceService of a model.
    pub(crate) fn serve_model(&self, name: &str, model: &str) -> Value {
        self.serve(name, ODH, &[("registered-model-id", model)])
    }

    pub(crate) fn service(&self, name: &str) -> Value {
        self.kube.get_object(KIND, SPACE, name).unwrap()
    }

    pub(crate) fn label(&self, name: &str, label: &str) -> Option<String> {
        self.service(name)["metadata"]["labels"][label].as_str().map(str::to_owned)
    }

    /// A change of a service that makes no difference to its record.
    pub(crate) fn touch(&self, name: &str, value: &str) {
        self.kube.edit(KIND, SPACE, name, |service| {
            service["metadata"]["annotations"] = json!({"example.com/touched": value});
        });
    }

    /// Takes the finalizers off a service, as those who put them there do.
    pub(crate) async fn let_go(&self, name: &str) {
        let url = self
            .kube
            .url()
            .join(&format!("apis/serving.kserve.io/v1beta1/namespaces/{SPACE}/inferenceservices/{name}"));
        let request = self.front.http.patch(url.unwrap()).bearer_auth(ADMIN_TOKEN);
        let request = request.header("content-type", "application/merge-patch+json");
        let answer = request.body(json!({"metadata": {"finalizers": null}}).to_string()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().await.unwrap());
        assert!(self.kube.get_object(KIND, SPACE, name).is_none());
    }

    /// What was written to the cluster by requests.
    pub(crate) fn labellings(&self) -> Vec<Value> {
        let writes = self.kube.requests().into_iter().filter(testkit::kube::RecordedRequest::is_write);
        writes.map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
    }

    // --- The registry ---

    /// Sends something to the registry, past what is noted.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/api/model_registry/v1alpha3/{path}", self.front.registry);
        let mut request = self.front.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// The id of something new.
    pub(crate) async fn make(&self, path: &str, body: Value) -> String {
        self.send(Method::POST, path, Some(body)).await["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn model(&self, name: &str) -> String {
        self.make("registered_models", json!({"name": name})).await
    }

    pub(crate) async fn version(&self, model: &str, name: &str) -> String {
        self.make("model_versions", json!({"name": name, "registeredModelId": model})).await
    }

    pub(crate) async fn records(&self) -> Vec<Value> {
        let listed = self.send(Method::GET, "inference_services", None).await;
        listed["items"].as_array().unwrap().clone()
    }

    /// Waits until there is just one record, and it is as wanted.
    pub(crate) async fn record(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(SOON, what, async || match &self.records().await[..] {
            [record] if wanted(record) => Ok(record.clone()),
            others => Err(others.to_vec()),
        })
        .await
    }

    /// Waits until records, by their names, have these states.
    pub(crate) async fn states(&self, expected: &[(&str, &str)]) {
        let mut expected: Vec<(String, String)> =
            expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
        expected.sort();
        eventually(SOON, &format!("{expected:?}"), async || {
            let mut states: Vec<(String, String)> = self.records().await.iter().map(state_of).collect();
            states.sort();
            if states == expected { Ok(()) } else { Err(states) }
        })
        .await;
    }

    // --- What was asked ---

    pub(crate) fn set_down(&self, is_down: bool) {
        self.front.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(crate) fn lose_answers(&self, count: usize) {
        self.front.lost.store(count, Ordering::SeqCst);
    }

    /// What was asked of the registry since the last time, in order: methods and paths.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.front.seen.lock().unwrap())
    }

    pub(crate) fn asked_so_far(&self) -> Vec<String> {
        self.front.seen.lock().unwrap().clone()
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.front.tokens.lock().unwrap().clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// The service that a record is of, and its state.
fn state_of(record: &Value) -> (String, String) {
    let name = record["name"].as_str().unwrap();
    let service = name.split('/').next().unwrap();
    (service.to_owned(), record["desiredState"].as_str().unwrap().to_owned())
}

pub(crate) fn property(record: &Value, name: &str) -> Option<String> {
    record["customProperties"][name]["string_value"].as_str().map(str::to_owned)
}

pub(crate) fn is(record: &Value, state: &str) -> bool {
    record["desiredState"] == state
}

pub(crate) fn uid(service: &Value) -> String {
    service["metadata"]["uid"].as_str().unwrap().to_owned()
}
