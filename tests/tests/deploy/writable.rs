//! A registry that takes what the seed job sends: the sample registry, with the writing routes that it lacks. As strict as
//! the real one: fields that it does not know, a missing name or parent, and a name that is taken are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Query, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, get_service};
use axum::{Json, Router};
use sample_registry::{Kind, SampleRegistry};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const API: &str = "/api/model_registry/v1alpha3";
const COMMON: &[&str] = &["name", "description", "externalId", "customProperties", "state"];

/// A running registry; it stops when dropped.
#[derive(Debug)]
pub(crate) struct WritableRegistry {
    pub(crate) registry: SampleRegistry,
    pub(crate) url: String,
    /// How many requests are answered 503 before it is up.
    pub(crate) not_up_for: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for WritableRegistry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Shared {
    registry: SampleRegistry,
    not_up_for: Arc<AtomicUsize>,
}

impl WritableRegistry {
    pub(crate) async fn start(token: &str) -> Self {
        let registry = SampleRegistry::new();
        registry.set_token(Some(token));
        let not_up_for = Arc::default();
        let shared = Shared { registry: registry.clone(), not_up_for: Arc::clone(&not_up_for) };
        let reads = registry.router();
        let routes = Router::new()
            .route(&format!("{API}/registered_model"), get(find_model))
            .route(&format!("{API}/model_version"), get(find_version))
            .route(&format!("{API}/registered_models"), get_service(reads.clone()).post(create_model))
            .route(&format!("{API}/model_versions"), get_service(reads.clone()).post(create_version))
            .fallback_service(reads)
            .layer(middleware::from_fn_with_state(shared.clone(), artifacts))
            .layer(middleware::from_fn_with_state(shared.clone(), is_up))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { registry, url, not_up_for, task }
    }

    /// Models, versions and artifacts.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [Kind::RegisteredModel, Kind::ModelVersion, Kind::ModelArtifact].map(|kind| self.registry.count(kind))
    }
}

async fn is_up(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let take_one = |left: usize| left.checked_sub(1);
    let is_not_up = shared.not_up_for.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one).is_ok();
    if is_not_up { refusal(StatusCode::SERVICE_UNAVAILABLE, "the database is late") } else { next.run(request).await }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"code": status.canonical_reason(), "message": message}))).into_response()
}

/// All records of a kind: ids are counted together, so none is above their number.
pub(crate) fn all(registry: &SampleRegistry, kind: Kind) -> Vec<Value> {
    (1..100).filter_map(|id| registry.get(kind, &id.to_string())).collect()
}

fn found(records: Vec<Value>, wanted: impl Fn(&Value) -> bool) -> Response {
    match records.into_iter().find(wanted) {
        Some(record) => Json(record).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "no such thing: not found"),
    }
}

type Parameters = Query<BTreeMap<String, String>>;

async fn find_model(State(shared): State<Shared>, Query(query): Parameters) -> Response {
    found(all(&shared.registry, Kind::RegisteredModel), |model| model["name"] == *query["name"])
}

async fn find_version(State(shared): State<Shared>, Query(query): Parameters) -> Response {
    found(all(&shared.registry, Kind::ModelVersion), |version| {
        version["name"] == *query["name"] && version["registeredModelId"] == *query["parentResourceId"]
    })
}

/// What is wrong with a body.
fn problem(body: &Value, more: &[&str], taken: &[Value]) -> Option<Response> {
    let fields = body.as_object().expect("an object");
    if let Some(field) =
        fields.keys().find(|field| !COMMON.contains(&field.as_str()) && !more.contains(&field.as_str()))
    {
        return Some(refusal(StatusCode::BAD_REQUEST, &format!("json: unknown field {field:?}")));
    }
    let properties = fields.get("customProperties").and_then(Value::as_object).into_iter().flatten();
    for (key, value) in properties {
        if value["metadataType"] != "MetadataStringValue" || !value["string_value"].is_string() {
            return Some(refusal(StatusCode::BAD_REQUEST, &format!("{key} is no metadata value: bad request")));
        }
    }
    if taken.iter().any(|record| record["name"] == body["name"]) {
        return Some(refusal(StatusCode::CONFLICT, "the name is taken: conflict"));
    }
    None
}

fn created(registry: &SampleRegistry, kind: Kind, id: &str) -> Response {
    (StatusCode::CREATED, Json(registry.get(kind, id))).into_response()
}

fn name(body: &Value) -> String {
    body["name"].as_str().unwrap_or_default().to_owned()
}

async fn create_model(State(Shared { registry, .. }): State<Shared>, Json(body): Json<Value>) -> Response {
    if let Some(problem) = problem(&body, &["owner"], &all(&registry, Kind::RegisteredModel)) {
        return problem;
    }
    let id = registry.create_model(&name(&body), body);
    created(&registry, Kind::RegisteredModel, &id)
}

async fn create_version(State(Shared { registry, .. }): State<Shared>, Json(body): Json<Value>) -> Response {
    let parent = body["registeredModelId"].as_str().unwrap_or_default().to_owned();
    if registry.get(Kind::RegisteredModel, &parent).is_none() {
        return refusal(StatusCode::NOT_FOUND, "no such registered model: not found");
    }
    let mut siblings = all(&registry, Kind::ModelVersion);
    siblings.retain(|version| version["registeredModelId"] == parent);
    if let Some(problem) = problem(&body, &["author", "registeredModelId"], &siblings) {
        return problem;
    }
    let id = registry.create_version(&parent, &name(&body), body);
    created(&registry, Kind::ModelVersion, &id)
}

/// `POST /model_versions/{id}/artifacts`, before the sample registry sees that path.
async fn artifacts(State(Shared { registry, .. }): State<Shared>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let version = path.strip_prefix(&format!("{API}/model_versions/")).and_then(|rest| rest.strip_suffix("/artifacts"));
    let Some(version) = version.filter(|_| request.method() == Method::POST) else { return next.run(request).await };
    let bytes = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    create_artifact(&registry, version, serde_json::from_slice(&bytes).expect("JSON"))
}

fn create_artifact(registry: &SampleRegistry, version: &str, body: Value) -> Response {
    if registry.get(Kind::ModelVersion, version).is_none() {
        return refusal(StatusCode::NOT_FOUND, "no such model version: not found");
    }
    let more = ["artifactType", "uri", "modelFormatName", "modelFormatVersion"];
    if let Some(problem) = problem(&body, &more, &all(registry, Kind::ModelArtifact)) {
        return problem;
    }
    let id = registry.create_artifact(version, &name(&body), body);
    created(registry, Kind::ModelArtifact, &id)
}
