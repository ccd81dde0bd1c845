//! A scripted Backstage: the catalog's REST routes with the rules of a real one, kept in memory.
//!
//! It fetches nothing and so holds no entities of its own making: tests look at its locations, at what was refreshed
//! and at the requests that came, and tell it to fail.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// The location type that only RHDH's model catalog provider understands.
pub const BRIDGE_LOCATION_TYPE: &str = "rhdh-rhoai-bridge";

/// A location that the scripted Backstage holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredLocation {
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its target.
    pub target: String,
}

/// A request that the scripted Backstage has received.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedRequest {
    /// The method.
    pub method: Method,
    /// The path below `/api/catalog`, such as `/locations`.
    pub path: String,
    /// The query, without the question mark; empty when there is none.
    pub query: String,
    /// The JSON body; null when there is none.
    pub body: Value,
    /// Whether the request carried the right token (or none was asked for).
    pub authorized: bool,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status, and nothing is done.
    Status(u16),
    /// It is done, but its answer breaks off.
    LostAnswer,
    /// It is answered 200 with a page of HTML, and nothing is done.
    Html,
}

#[derive(Debug, Clone)]
struct PlannedFault {
    method: Method,
    path_prefix: String,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Inner {
    locations: Vec<RegisteredLocation>,
    entities: Vec<Value>,
    refreshed: Vec<String>,
    requests: Vec<ReceivedRequest>,
    faults: VecDeque<PlannedFault>,
    token: Option<String>,
    knows_bridge_type: bool,
    next_id: u64,
}

type Shared = Arc<Mutex<Inner>>;

/// A running scripted Backstage; it stops when dropped.
#[derive(Debug)]
pub struct ScriptedBackstage {
    address: SocketAddr,
    inner: Shared,
    task: JoinHandle<()>,
}

impl Drop for ScriptedBackstage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ScriptedBackstage {
    /// A plain Backstage on a free port of the loopback: any token, no locations, `rhdh-rhoai-bridge` unknown.
    ///
    /// # Panics
    /// When no port can be bound.
    pub async fn start() -> Self {
        let inner = Shared::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on the loopback");
        let address = listener.local_addr().expect("the address of a bound listener");
        let router = Router::new().fallback(handle).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move {
            // The test is over when this ends; there is nobody to tell.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, inner, task }
    }

    /// From now on requests need this bearer token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.set_token(token);
        self
    }

    /// From now on it has RHDH's provider, and takes locations of type `rhdh-rhoai-bridge`.
    #[must_use]
    pub fn with_bridge_location_type(self) -> Self {
        self.lock().knows_bridge_type = true;
        self
    }

    /// Its base URL.
    ///
    /// # Panics
    /// Never: a socket address always makes a URL.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("a socket address makes a URL")
    }

    /// Asks for another token from now on.
    pub fn set_token(&self, token: &str) {
        self.lock().token = Some(token.to_owned());
    }

    /// The locations it holds, in the order in which they came.
    pub fn locations(&self) -> Vec<RegisteredLocation> {
        self.lock().locations.clone()
    }

    /// The targets of its locations, sorted.
    pub fn targets(&self) -> Vec<String> {
        let mut targets: Vec<String> = self.lock().locations.iter().map(|item| item.target.clone()).collect();
        targets.sort();
        targets
    }

    /// Puts a location in, as if someone had registered it earlier; returns its id.
    pub fn add_location(&self, kind: &str, target: &str) -> String {
        self.lock().add(kind, target).id
    }

    /// Loses all locations, as a Backstage whose database was reset.
    pub fn forget_locations(&self) {
        self.lock().locations.clear();
    }

    /// Puts an entity in, for queries.
    pub fn add_entity(&self, entity: Value) {
        self.lock().entities.push(entity);
    }

    /// The entity references that were refreshed, in order.
    pub fn refreshed(&self) -> Vec<String> {
        self.lock().refreshed.clone()
    }

    /// The requests that came, in order.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.lock().requests.clone()
    }

    /// How many requests of this method came to paths that begin so.
    pub fn count(&self, method: &Method, path_prefix: &str) -> usize {
        let inner = self.lock();
        inner.requests.iter().filter(|seen| seen.method == *method && seen.path.starts_with(path_prefix)).count()
    }

    /// The next `times` requests of this method to paths that begin so (below `/api/catalog`) go wrong.
    pub fn fail_next(&self, method: &Method, path_prefix: &str, fault: Fault, times: usize) {
        let planned = PlannedFault { method: method.clone(), path_prefix: path_prefix.to_owned(), fault };
        self.lock().faults.extend(std::iter::repeat_n(planned, times));
    }

    /// No request goes wrong any more.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn lock(inner: &Shared) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn add(&mut self, kind: &str, target: &str) -> RegisteredLocation {
        self.next_id += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.next_id);
        let location = RegisteredLocation { id, kind: kind.to_owned(), target: target.to_owned() };
        self.locations.push(location.clone());
        location
    }

    fn take_fault(&mut self, method: &Method, path: &str) -> Option<Fault> {
        let index = self
            .faults
            .iter()
            .position(|planned| planned.method == *method && path.starts_with(&planned.path_prefix))?;
        self.faults.remove(index).map(|planned| planned.fault)
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given == Some(format!("Bearer {token}").as_str())
    }

    fn answer(&mut self, request: &ReceivedRequest) -> Response {
        let path = request.path.trim_start_matches('/').to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["locations"]) => {
                let all: Vec<Value> = self.locations.iter().map(|item| json!({ "data": flat(item) })).collect();
                Json(all).into_response()
            }
            ("POST", ["locations"]) => self.create(&request.body),
            ("GET", ["locations", id]) => match self.locations.iter().find(|item| item.id == *id) {
                Some(location) => Json(flat(location)).into_response(),
                None => failure(StatusCode::NOT_FOUND, "NotFoundError", &format!("Found no location with ID {id}")),
            },
            ("DELETE", ["locations", id]) => {
                let before = self.locations.len();
                self.locations.retain(|item| item.id != *id);
                if self.locations.len() == before {
                    return failure(StatusCode::NOT_FOUND, "NotFoundError", &format!("Found no location with ID {id}"));
                }
                StatusCode::NO_CONTENT.into_response()
            }
            ("POST", ["refresh"]) => match request.body.get("entityRef").and_then(Value::as_str) {
                Some(entity_ref) => {
                    self.refreshed.push(entity_ref.to_owned());
                    StatusCode::OK.into_response()
                }
                None => failure(StatusCode::BAD_REQUEST, "InputError", "entityRef is required"),
            },
            ("GET", ["entities", "by-query"]) => {
                let total = self.entities.len();
                Json(json!({ "items": self.entities, "totalItems": total, "pageInfo": {} })).into_response()
            }
            ("DELETE", ["entities", "by-uid", uid]) => {
                self.entities.retain(|item| item.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid));
                StatusCode::NO_CONTENT.into_response()
            }
            _ => failure(StatusCode::NOT_FOUND, "NotFoundError", "Not found"),
        }
    }

    fn create(&mut self, body: &Value) -> Response {
        let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
        let (Some(kind), Some(target)) = (text("type"), text("target")) else {
            return failure(StatusCode::BAD_REQUEST, "InputError", "type and target are required");
        };
        if kind == BRIDGE_LOCATION_TYPE && !self.knows_bridge_type {
            return failure(StatusCode::BAD_REQUEST, "InputError", "Registered locations must be of type 'url'");
        }
        if self.locations.iter().any(|item| item.kind == kind && item.target == target) {
            let message = format!("Location {kind}:{target} already exists");
            return failure(StatusCode::CONFLICT, "ConflictError", &message);
        }
        let location = self.add(kind, target);
        (StatusCode::CREATED, Json(json!({ "location": flat(&location), "entities": [] }))).into_response()
    }
}

async fn handle(State(inner): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let Some(path) = parts.uri.path().strip_prefix("/api/catalog") else {
        return failure(StatusCode::NOT_FOUND, "NotFoundError", "Not found");
    };
    let mut inner = lock(&inner);
    let received = ReceivedRequest {
        authorized: inner.is_authorized(&parts.headers),
        method: parts.method,
        path: path.to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    };
    inner.requests.push(received.clone());
    let fault = inner.take_fault(&received.method, &received.path);
    if let Some(Fault::Status(status)) = fault {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return failure(status, "ScriptedError", "a scripted fault");
    }
    if fault == Some(Fault::Html) {
        return axum::response::Html("<!doctype html><title>Sign in</title>").into_response();
    }
    if !received.authorized {
        return failure(StatusCode::UNAUTHORIZED, "AuthenticationError", "Illegal token");
    }
    let answer = inner.answer(&received);
    if fault == Some(Fault::LostAnswer) { broken_off(answer) } else { answer }
}

/// The same status and headers, with a body that breaks off before its first byte.
fn broken_off(answer: Response) -> Response {
    let (mut parts, _) = answer.into_parts();
    if parts.status == StatusCode::NO_CONTENT {
        parts.status = StatusCode::OK;
    }
    parts.headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("1000"));
    let lost = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("the answer was lost")) });
    Response::from_parts(parts, Body::from_stream(lost))
}

fn flat(location: &RegisteredLocation) -> Value {
    json!({ "id": location.id, "type": location.kind, "target": location.target })
}

fn failure(status: StatusCode, name: &str, message: &str) -> Response {
    let body = json!({
        "error": { "name": name, "message": message },
        "response": { "statusCode": status.as_u16() },
    });
    (status, Json(body)).into_response()
}
