//! Stands between normalizer and storage: passes everything on, and judges each removal against the truth.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bridge_api::clients::StorageClient;
use bridge_api::messages::Origin;
use http::StatusCode;
use url::Url;

use crate::truth::{Names, Truth};

#[derive(Clone)]
pub(crate) struct Witness {
    state: Arc<Shared>,
    pub(crate) url: Url,
}

struct Shared {
    storage: Mutex<Url>,
    truth: Truth,
    http: reqwest::Client,
    /// At which step an entry was last sent.
    sent: Mutex<BTreeMap<Names, u64>>,
    /// Removals that no healthy reading justifies.
    wrong: Mutex<Vec<String>>,
    /// Requests that are yet to fail.
    failing: Mutex<usize>,
}

impl Witness {
    pub(crate) async fn start(storage: Url, truth: Truth, http: reqwest::Client) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let state = Arc::new(Shared {
            storage: Mutex::new(storage),
            truth,
            http,
            sent: Mutex::default(),
            wrong: Mutex::default(),
            failing: Mutex::new(0),
        });
        let app = Router::new().fallback(pass).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { state, url }
    }

    /// Storage is somewhere else now.
    pub(crate) fn moved(&self, storage: Url) {
        *self.state.storage.lock().unwrap() = storage;
    }

    pub(crate) fn fail_next(&self, requests: usize) {
        *self.state.failing.lock().unwrap() = requests;
    }

    pub(crate) fn wrong_removals(&self) -> Vec<String> {
        self.state.wrong.lock().unwrap().clone()
    }

    pub(crate) async fn origins(&self) -> Option<BTreeMap<String, Origin>> {
        self.state.origins().await
    }
}

impl Shared {
    fn storage(&self) -> Url {
        self.storage.lock().unwrap().clone()
    }

    async fn origins(&self) -> Option<BTreeMap<String, Origin>> {
        let list = StorageClient::new(self.storage(), self.http.clone()).list().await.ok()?;
        Some(list.entries?.into_iter().filter_map(|entry| Some((entry.key, entry.origin?))).collect())
    }

    fn must_fail(&self) -> bool {
        let mut failing = self.failing.lock().unwrap();
        let fails = *failing > 0;
        *failing = failing.saturating_sub(1);
        fails
    }

    /// An entry that was there before and is not any more must have been hidden since it was last sent.
    fn judge(&self, before: &BTreeMap<String, Origin>, after: &BTreeMap<String, Origin>) {
        for (key, origin) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
            let names = (origin.first.clone(), origin.second.clone());
            let renamed = after.values().any(|other| (&other.first, &other.second) == (&names.0, &names.1));
            let sent = self.sent.lock().unwrap().get(&names).copied();
            let shown_since = self.truth.shown_since(&names);
            if let (false, Some(since)) = (renamed, shown_since)
                && sent.is_some_and(|sent| since <= sent)
            {
                let text = format!("{key} {names:?} was removed, sent at step {sent:?} and shown since step {since}");
                self.wrong.lock().unwrap().push(text);
            }
        }
    }
}

async fn pass(State(state): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if state.must_fail() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let is_key_set = path.starts_with("/currentkeyset");
    let before = if is_key_set { state.origins().await } else { None };
    // The step before storage takes it: whatever is edited later cannot be part of it.
    let step = state.truth.step();
    if path.starts_with("/upsert") {
        let origin = serde_json::from_slice::<serde_json::Value>(&body).ok().map(|body| body["origin"].clone());
        if let Some(Ok(origin)) = origin.map(serde_json::from_value::<Origin>) {
            state.sent.lock().unwrap().insert((origin.first, origin.second), step);
        }
    }
    let target = state.storage().join(&path).unwrap();
    let mut forwarded = state.http.request(parts.method, target).body(body);
    if let Some(kind) = parts.headers.get("content-type") {
        forwarded = forwarded.header("content-type", kind);
    }
    let Ok(answer) = forwarded.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, kind) = (answer.status(), answer.headers().get("content-type").cloned());
    let bytes = answer.bytes().await.unwrap_or_default();
    if let (Some(before), Some(after)) = (before, if is_key_set { state.origins().await } else { None }) {
        state.judge(&before, &after);
    }
    let mut response = (status, bytes).into_response();
    if let Some(kind) = kind {
        response.headers_mut().insert("content-type", kind);
    }
    response
}
