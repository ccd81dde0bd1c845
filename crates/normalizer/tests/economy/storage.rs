//! A storage that counts: it keeps what it is sent, in memory, and speaks our protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bridge_api::digest::content_digest;
use bridge_api::messages::{EntryDigest, KeyList, PostBody};
use serde::Deserialize;
use url::Url;

/// What was asked of storage, and what it holds.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) entries: BTreeMap<String, PostBody>,
    pub(crate) upserts: Vec<String>,
    pub(crate) key_sets: usize,
    pub(crate) settled: bool,
    pub(crate) lists: usize,
}

#[derive(Clone)]
pub(crate) struct CountingStorage {
    seen: Arc<Mutex<Seen>>,
    pub(crate) url: Url,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    key: String,
}

impl CountingStorage {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let storage = Self { seen: Arc::default(), url };
        let app = Router::new()
            .route("/list", get(list))
            .route("/upsert", post(upsert))
            .route("/currentkeyset", post(key_set))
            .route("/settle", post(settle))
            .with_state(storage.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        storage
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// The keys that were sent since this was last asked.
    pub(crate) fn take_upserts(&self) -> Vec<String> {
        let mut upserts = std::mem::take(&mut self.seen().upserts);
        upserts.sort();
        upserts
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.seen().entries.keys().cloned().collect()
    }
}

async fn list(State(storage): State<CountingStorage>) -> Json<KeyList> {
    let mut seen = storage.seen();
    seen.lists += 1;
    let entries = seen.entries.iter().map(|(key, body)| EntryDigest {
        key: key.clone(),
        digest: content_digest(&body.body, &body.model_card_key, &body.model_card),
        reconciler_type: None,
        origin: body.origin.clone(),
    });
    let entries = Some(entries.collect());
    Json(KeyList {
        keys: seen.entries.keys().cloned().collect(),
        entries,
        settled: Some(seen.settled || seen.key_sets > 0),
    })
}

async fn upsert(State(storage): State<CountingStorage>, Query(asked): Query<Asked>, Json(body): Json<PostBody>) {
    let mut seen = storage.seen();
    seen.upserts.push(asked.key.clone());
    seen.entries.insert(asked.key, body);
}

async fn settle(State(storage): State<CountingStorage>) {
    storage.seen().settled = true;
}

async fn key_set(State(storage): State<CountingStorage>, Query(asked): Query<Asked>) {
    let mut seen = storage.seen();
    seen.key_sets += 1;
    seen.entries.retain(|key, _| asked.key.split(',').any(|kept| kept == key));
}
