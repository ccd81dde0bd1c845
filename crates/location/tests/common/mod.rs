//! A storage that does what a test tells it to, and a location service that reads from it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "each test file uses its share of this")]

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bridge_api::{
    Digest, EntryDigest, EntryKey, FetchedEntries, KeyList, KeySet, LocationClient, MAX_FETCHED_KEYS, PostBody,
    StorageBody, UriList, content_digest,
};
use http::StatusCode;
use location::Settings;
use model_catalog::render::Format;
use reqwest::Client;
use serde::Deserialize;
use service::http_client::{TlsSettings, client};
use service::{Running, Shutdown};
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(20);

/// Whose answers the storage gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Go,
}

/// A storage whose content and faults a test sets.
#[derive(Clone)]
pub(crate) struct Storage {
    script: Arc<Mutex<Script>>,
    /// A permit a fetch.
    fetches: Arc<Semaphore>,
    pub(crate) url: String,
}

pub(crate) struct Script {
    pub(crate) kind: Kind,
    pub(crate) entries: BTreeMap<String, StorageBody>,
    pub(crate) down: bool,
    /// What a storage of ours says; a Go one says nothing.
    pub(crate) settled: bool,
    pub(crate) unfetchable: HashSet<String>,
    pub(crate) lists: usize,
    pub(crate) fetched: Vec<String>,
    /// How many requests asked for many entries at once.
    pub(crate) bulk_requests: usize,
    /// How many entries such a request is answered at most; `None`: such requests are not understood.
    pub(crate) bulk: Option<usize>,
    /// What happens after the next list was answered.
    pub(crate) after_list: Option<Happening>,
}

pub(crate) type Happening = Box<dyn FnOnce(&mut Script) + Send>;

#[derive(Deserialize)]
struct Asked {
    key: Option<String>,
    details: Option<String>,
}

impl Storage {
    pub(crate) async fn start(kind: Kind) -> Self {
        let script = Script {
            kind,
            entries: BTreeMap::new(),
            down: false,
            settled: true,
            unfetchable: HashSet::new(),
            lists: 0,
            fetched: Vec::new(),
            bulk_requests: 0,
            bulk: (kind == Kind::Ours).then_some(usize::MAX),
            after_list: None,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fetches = Arc::new(Semaphore::new(1 << 20));
        let storage = Self { script: Arc::new(Mutex::new(script)), fetches, url };
        let router = Router::new()
            .route("/list", get(list))
            .route("/fetch", get(fetch).post(fetch_many))
            .with_state(storage.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        storage
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// How many requests for many entries came, and how many entries were asked for in all.
    pub(crate) fn read(&self) -> (usize, usize) {
        let script = self.script();
        (script.bulk_requests, script.fetched.len())
    }

    pub(crate) fn put(&self, key: &str, content: &PostBody) {
        let stored = StorageBody {
            body: content.body.clone(),
            model_card_key: content.model_card_key.clone(),
            model_card: content.model_card.clone(),
            reconciler_type: "kubeflow".to_owned(),
            ..StorageBody::default()
        };
        self.script().entries.insert(key.to_owned(), stored);
    }

    pub(crate) fn take(&self, key: &str) {
        self.script().entries.remove(key);
    }

    /// From now on fetches wait for [`Storage::release_fetches`].
    pub(crate) async fn hold_fetches(&self) {
        self.fetches.acquire_many(1 << 20).await.unwrap().forget();
    }

    pub(crate) fn release_fetches(&self) {
        self.fetches.add_permits(1 << 20);
    }

    /// Waits until location has compared itself with all that storage holds by now.
    pub(crate) async fn compared(&self) {
        // The comparison that runs now may have begun before; the one that begins after it is over has not.
        let lists = self.script().lists + 2;
        eventually("location asks for two more lists", async || self.script().lists >= lists).await;
    }
}

async fn list(State(storage): State<Storage>, Query(asked): Query<Asked>) -> Response {
    let mut script = storage.script();
    script.lists += 1;
    if script.down {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let describe = |(key, stored): (&String, &StorageBody)| EntryDigest {
        key: key.clone(),
        digest: content_digest(&stored.body, &stored.model_card_key, &stored.model_card),
        reconciler_type: Some(stored.reconciler_type.clone()),
        origin: None,
    };
    let details = script.kind == Kind::Ours && asked.details.as_deref() == Some("true");
    let entries = details.then(|| script.entries.iter().map(describe).collect());
    let settled = details.then_some(script.settled);
    let list = KeyList { keys: script.entries.keys().cloned().collect(), entries, settled };
    if let Some(happening) = script.after_list.take() {
        happening(&mut script);
    }
    Json(list).into_response()
}

/// What is answered is what was stored when the request came, however long it is held.
async fn fetch(State(storage): State<Storage>, Query(asked): Query<Asked>) -> Response {
    let answer = storage.script().fetch(asked.key.as_deref().unwrap_or_default());
    let _turn = storage.fetches.acquire().await.unwrap();
    answer
}

async fn fetch_many(State(storage): State<Storage>, Json(asked): Json<KeySet>) -> Response {
    let answer = storage.script().fetch_many(&asked.keys);
    let _turn = storage.fetches.acquire().await.unwrap();
    answer
}

impl Script {
    fn fetch_many(&mut self, keys: &[String]) -> Response {
        self.bulk_requests += 1;
        let Some(most) = self.bulk else { return StatusCode::METHOD_NOT_ALLOWED.into_response() };
        if self.down || keys.iter().any(|name| self.unfetchable.contains(name)) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        if keys.len() > MAX_FETCHED_KEYS {
            return StatusCode::BAD_REQUEST.into_response();
        }
        let (asked, rest) = keys.split_at(most.min(keys.len()));
        self.fetched.extend_from_slice(asked);
        let found = asked.iter().filter_map(|name| Some((key(name), self.entries.get(name)?.clone()))).collect();
        Json(FetchedEntries { entries: found, rest: rest.iter().map(|name| key(name)).collect() }).into_response()
    }

    fn fetch(&mut self, key: &str) -> Response {
        self.fetched.push(key.to_owned());
        if self.down || self.unfetchable.contains(key) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let Some(stored) = self.entries.get(key) else { return StatusCode::NOT_FOUND.into_response() };
        let mut stored = stored.clone();
        if self.kind == Kind::Go {
            stored.model_card = String::new();
            stored.model_card_key = String::new();
        }
        Json(stored).into_response()
    }
}

/// A location service under test.
pub(crate) struct Location {
    pub(crate) url: String,
    pub(crate) http: Client,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: Running,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The message of an answer that reports an error.
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_slice::<bridge_api::ErrorBody>(&self.body).unwrap().error
    }
}

impl Location {
    /// Starts it without waiting for its load.
    pub(crate) async fn start(format: Format, storage_url: &str) -> Self {
        Self::start_with(format, storage_url, &[]).await
    }

    pub(crate) async fn start_with(format: Format, storage_url: &str, args: &[&str]) -> Self {
        let format = format.to_string();
        let mut all = vec!["location", "--listen-address", "127.0.0.1:0", "--resync-interval", "20ms"];
        all.extend(["--format", &format, "--storage-url", storage_url]);
        all.extend(args);
        let settings: Settings = service::settings::try_parse_from(all, |_| Some("".into())).unwrap();
        let shutdown = Shutdown::new();
        let running = location::start(settings, shutdown.clone()).await.unwrap();
        let url = format!("http://{}", running.address);
        Self { url, http: client(&TlsSettings::default(), "location").unwrap(), shutdown, running }
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn loaded(format: Format, storage: &Storage) -> Self {
        let location = Self::start(format, &storage.url).await;
        location.until_ready().await;
        location
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.address
    }

    pub(crate) async fn until_ready(&self) {
        eventually("location is ready", async || self.get("/readyz").await.status == StatusCode::OK).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{}{path}", self.url))).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        // A client that does not ask for compression on its own, nor undoes it.
        let mut request = Client::builder().no_gzip().build().unwrap().get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        Answer::of(self.http.post(format!("{}{path}", self.url)).body(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.http.delete(format!("{}{path}", self.url))).await
    }

    pub(crate) fn client(&self) -> LocationClient {
        LocationClient::new(self.url.parse().unwrap(), self.http.clone())
    }

    pub(crate) async fn uris(&self) -> Vec<String> {
        let answer = self.get("/list").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        serde_json::from_slice::<UriList>(&answer.body).unwrap().uris
    }

    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.running.task.await.unwrap().unwrap();
    }
}

/// Waits for `condition`, and fails when it does not come true in reasonable time.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "this did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn key(text: &str) -> EntryKey {
    text.parse().unwrap()
}

/// A document in the JSON format that says what a test wants it to.
pub(crate) fn document(text: &str) -> PostBody {
    PostBody { body: format!(r#"{{"models":[],"text":"{text}"}}"#).into_bytes(), ..PostBody::default() }
}

pub(crate) fn with_card(mut content: PostBody, key: &str, card: &str) -> PostBody {
    key.clone_into(&mut content.model_card_key);
    card.clone_into(&mut content.model_card);
    content
}

pub(crate) fn digest_of(content: &PostBody) -> Digest {
    content_digest(&content.body, &content.model_card_key, &content.model_card)
}
