//! A scripted Backstage: the catalog's REST routes with the rules of a real one, kept in memory.
//!
//! It fetches nothing and so holds no entities of its own making: tests put some in, look at its locations, at what was
//! refreshed and at the requests that came, and tell it to fail.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

mod query;
mod routes;

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
    /// Which trace it says that it belongs to.
    pub traceparent: Option<String>,
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
    hidden: BTreeSet<String>,
    refused: BTreeSet<String>,
    unreadable: Vec<(String, String)>,
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
        let router = Router::new().fallback(routes::handle).with_state(Arc::clone(&inner));
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

    /// Keeps the location of this id out of lists, as for a reader who may not see it.
    pub fn hide_location(&self, id: &str) {
        self.lock().hidden.insert(id.to_owned());
    }

    /// From now on it answers 400 to whoever registers this target.
    pub fn refuse_target(&self, target: &str) {
        self.lock().refused.insert(target.to_owned());
    }

    /// From now on it can't read targets that begin so, and says this of them where a location is only tried.
    pub fn cannot_read(&self, target_prefix: &str, says: &str) {
        self.lock().unreadable.push((target_prefix.to_owned(), says.to_owned()));
    }

    /// Loses all locations, as a Backstage whose database was reset.
    pub fn forget_locations(&self) {
        self.lock().locations.clear();
    }

    /// Puts an entity in, for queries.
    pub fn add_entity(&self, entity: Value) {
        self.lock().entities.push(entity);
    }

    /// Puts a `Resource` in, as if it had been read from this location (`<type>:<target>`); its uid is its name.
    pub fn add_entity_of(&self, name: &str, location: &str) {
        self.add_entity(entity_of(name, location));
    }

    /// The same of an entity that nothing emits any more.
    pub fn add_orphan_of(&self, name: &str, location: &str) {
        let mut entity = entity_of(name, location);
        entity["metadata"]["annotations"]["backstage.io/orphan"] = "true".into();
        self.add_entity(entity);
    }

    /// The names of the entities that were put in and not removed, in order.
    pub fn entity_names(&self) -> Vec<String> {
        let name = |entity: &Value| entity["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.lock().entities.iter().map(name).collect()
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

fn entity_of(name: &str, location: &str) -> Value {
    let annotations = json!({
        "backstage.io/managed-by-location": location,
        "backstage.io/managed-by-origin-location": location,
    });
    let metadata = json!({ "name": name, "namespace": "default", "uid": name, "annotations": annotations });
    json!({ "apiVersion": "backstage.io/v1alpha1", "kind": "Resource", "metadata": metadata })
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
}
