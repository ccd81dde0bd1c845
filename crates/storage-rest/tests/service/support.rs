//! A storage-rest under test, and a location that does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use bridge_api::messages::Origin;
use bridge_api::{EntryDigest, EntryKey, PostBody, ReconcilerType, StorageClient, UriList, content_digest};
use http::{HeaderMap, HeaderValue, StatusCode};
use model_catalog::render::Format;
use service::http_client::{TlsSettings, client};
use service::{Running, Shutdown};
use storage_rest::Settings;
use tokio::net::TcpListener;
use url::Url;

/// Longer than anything takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn key(text: &str) -> EntryKey {
    text.parse().unwrap()
}

pub(crate) fn post(body: &str) -> PostBody {
    PostBody { body: body.as_bytes().to_vec(), ..PostBody::default() }
}

pub(crate) fn http() -> reqwest::Client {
    client(&TlsSettings::default(), "tests").unwrap()
}

/// A running storage-rest.
pub(crate) struct Storage {
    pub(crate) url: Url,
    pub(crate) client: StorageClient,
    running: Running,
    shutdown: Shutdown,
}

impl Storage {
    /// One with an SQLite file in `directory`, quick retries and these arguments besides.
    pub(crate) async fn start(directory: &Path, args: &[&str]) -> Self {
        let file = directory.join("storage.sqlite");
        let sqlite = ["--storage-type", "Sqlite", "--sqlite-path", file.to_str().unwrap()];
        let storage = Self::start_with(&[&sqlite, args].concat()).await;
        testkit::eventually(DEADLINE, "the store is open", async || {
            let status = storage.ready().await;
            if status.is_success() { Ok(()) } else { Err(status) }
        })
        .await;
        storage
    }

    pub(crate) async fn start_with(args: &[&str]) -> Self {
        let shutdown = Shutdown::new();
        let running = storage_rest::start(settings(args), shutdown.clone()).await.unwrap();
        let url: Url = format!("http://{}", running.address).parse().unwrap();
        let client = StorageClient::new(url.clone(), http());
        Self { url, client, running, shutdown }
    }

    /// Sends an entry as our normalizer does: with what it is made from.
    pub(crate) async fn upsert(&self, name: &str, body: &str) {
        let [source, first] = ["registry/tests", "model"].map(str::to_owned);
        let [parent, child, second] = [name; 3].map(str::to_owned);
        let origin = Some(Origin { source, parent, child, first, second, served_by: None });
        let sent = PostBody { origin, ..post(body) };
        self.client.upsert(&key(name), ReconcilerType::Kubeflow, &sent).await.unwrap();
    }

    pub(crate) async fn keep_only(&self, names: &[&str]) {
        let keys: Vec<EntryKey> = names.iter().map(|name| key(name)).collect();
        self.client.current_key_set(&keys).await.unwrap();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.task.await.unwrap().unwrap();
    }

    /// Ends it as a crash does: nothing is finished, closed or told.
    pub(crate) async fn crash(self) {
        self.running.task.abort();
        let _ = self.running.task.await;
    }

    pub(crate) async fn metrics(&self) -> String {
        http().get(self.url.join("metrics").unwrap()).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn ready(&self) -> StatusCode {
        http().get(self.url.join("readyz").unwrap()).send().await.unwrap().status()
    }
}

pub(crate) fn settings(args: &[&str]) -> Settings {
    let quick = [
        "storage-rest",
        "--listen-address=127.0.0.1:0",
        "--delivery-retry-min=5ms",
        "--delivery-retry-max=50ms",
        "--delivery-resync-interval=200ms",
    ];
    let name = |flag: &str| flag.split('=').next().map(str::to_owned);
    let quick = quick.iter().filter(|flag| !args.iter().any(|arg| name(arg) == name(flag)));
    service::settings::try_parse_from(quick.chain(args).copied(), |_| None).unwrap()
}

/// How a scripted location behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// It serves, and tells digests.
    #[default]
    Ours,
    /// It serves, and tells URIs only.
    Go,
    /// It reads storage, and takes pushes.
    Loading,
    /// Everything is a 502.
    Broken,
}

#[derive(Debug, Default)]
struct Inner {
    mood: Mood,
    entries: BTreeMap<String, PostBody>,
    refused: BTreeSet<String>,
    upserts: Vec<String>,
    removals: Vec<String>,
    /// The token without which nothing is taken.
    token: Option<String>,
}

/// A location that holds what it is sent, and behaves as it is told.
#[derive(Clone)]
pub(crate) struct ScriptedLocation {
    pub(crate) url: Url,
    inner: Arc<Mutex<Inner>>,
}

type Shared = State<Arc<Mutex<Inner>>>;

impl ScriptedLocation {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let router = Router::new()
            .route("/list", get(list))
            .route("/upsert", axum::routing::post(upsert))
            .route("/remove", delete(remove))
            .with_state(Arc::clone(&inner));
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// From now on it takes nothing without this token.
    pub(crate) fn require_token(&self, token: &str) {
        self.lock().token = Some(token.to_owned());
    }

    /// It is started anew, and knows nothing.
    pub(crate) fn forget(&self) {
        self.lock().entries.clear();
    }

    pub(crate) fn put(&self, name: &str, body: &str) {
        self.lock().entries.insert(name.to_owned(), post(body));
    }

    pub(crate) fn refuse(&self, name: &str) {
        self.lock().refused.insert(name.to_owned());
    }

    pub(crate) fn accept(&self, name: &str) {
        self.lock().refused.remove(name);
    }

    pub(crate) fn bodies(&self) -> BTreeMap<String, String> {
        let text = |body: &PostBody| String::from_utf8(body.body.clone()).unwrap();
        self.lock().entries.iter().map(|(name, body)| (name.clone(), text(body))).collect()
    }

    pub(crate) fn entry(&self, name: &str) -> Option<PostBody> {
        self.lock().entries.get(name).cloned()
    }

    pub(crate) fn upserts(&self) -> Vec<String> {
        self.lock().upserts.clone()
    }

    pub(crate) fn removals(&self) -> Vec<String> {
        self.lock().removals.clone()
    }

    /// Waits until it holds exactly this.
    pub(crate) async fn holds(&self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<String, String> =
            expected.iter().map(|(name, body)| ((*name).to_owned(), (*body).to_owned())).collect();
        testkit::eventually(DEADLINE, &format!("location holds {expected:?}"), async || {
            let held = self.bodies();
            if held == expected { Ok(()) } else { Err(held) }
        })
        .await;
    }
}

#[derive(serde::Deserialize)]
struct KeyQuery {
    key: String,
}

fn bearer(token: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("Bearer {token}")).unwrap()
}

async fn list(State(inner): Shared) -> Result<Json<UriList>, StatusCode> {
    let inner = inner.lock().unwrap();
    let digests = || {
        let digest = |body: &PostBody| content_digest(&body.body, &body.model_card_key, &body.model_card);
        let told = inner.entries.iter().map(|(name, body)| EntryDigest {
            key: name.clone(),
            digest: digest(body),
            reconciler_type: None,
            origin: None,
        });
        told.collect()
    };
    let entries = match inner.mood {
        Mood::Ours => Some(digests()),
        Mood::Go => None,
        Mood::Loading => return Err(StatusCode::SERVICE_UNAVAILABLE),
        Mood::Broken => return Err(StatusCode::BAD_GATEWAY),
    };
    let uris = inner.entries.keys().map(|name| key(name).uri(Format::CatalogInfoYaml)).collect();
    Ok(Json(UriList { uris, entries }))
}

async fn upsert(
    State(inner): Shared,
    Query(query): Query<KeyQuery>,
    headers: HeaderMap,
    Json(body): Json<PostBody>,
) -> StatusCode {
    let mut inner = inner.lock().unwrap();
    inner.upserts.push(query.key.clone());
    if inner.token.as_ref().is_some_and(|token| headers.get("authorization") != Some(&bearer(token))) {
        return StatusCode::UNAUTHORIZED;
    }
    if inner.mood == Mood::Broken {
        return StatusCode::BAD_GATEWAY;
    }
    if inner.refused.contains(&query.key) {
        return StatusCode::BAD_REQUEST;
    }
    inner.entries.insert(query.key, body);
    StatusCode::CREATED
}

async fn remove(State(inner): Shared, Query(query): Query<KeyQuery>) -> StatusCode {
    let mut inner = inner.lock().unwrap();
    inner.removals.push(query.key.clone());
    if inner.mood == Mood::Broken {
        return StatusCode::BAD_GATEWAY;
    }
    match inner.entries.remove(&query.key) {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    }
}
