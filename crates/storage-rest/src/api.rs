//! The routes of the Go bridge's storage. What is ours is additive: `POST /settle`, `GET /status`, `details=true` at `/list`, a key set as
//! a JSON body, and many entries at once by `POST /fetch`.

mod fetch_many;
mod list;
mod status;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bridge_api::{EntryKey, KeySet, PostBody, ReconcilerType, StorageBody, from_json};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use service::{ApiError, Authorizer};

pub use status::Facts;

use crate::deliver::{Settled, Touched};
use crate::metrics::StorageMetrics;
use crate::store::{Filling, Outcome, Store, StoreError, StoredEntry};

/// What the routes work with.
#[derive(Clone)]
pub struct Api {
    /// Filled as soon as the store is open.
    pub store: Arc<OnceLock<Arc<dyn Store>>>,
    /// Whether what the store holds may be taken for the whole.
    pub settled: Settled,
    /// Told about every change.
    pub touched: Arc<Touched>,
    /// What is counted.
    pub metrics: StorageMetrics,
    /// What never changes of what the status tells.
    pub facts: Facts,
}

/// The routes, for those whom `authorizer` lets in.
pub fn router(api: Api, authorizer: &Authorizer) -> Router {
    let writes = Router::new()
        .route("/upsert", post(upsert))
        .route("/currentkeyset", post(current_key_set))
        .route("/settle", post(settle));
    let reads = Router::new()
        .route("/list", get(list::list))
        .route("/fetch", get(fetch).post(fetch_many::fetch_many))
        .route("/status", get(status::status));
    authorizer.guard_writes(writes).merge(authorizer.guard_reads(reads)).with_state(api)
}

impl Api {
    fn store(&self) -> Result<Arc<dyn Store>, ApiError> {
        self.store.get().map(Arc::clone).ok_or_else(|| ApiError::unavailable("the store can't be reached yet"))
    }
}

#[derive(Deserialize)]
struct UpsertQuery {
    key: Option<String>,
    #[serde(rename = "type")]
    reconciler_type: Option<String>,
}

async fn upsert(State(api): State<Api>, Query(query): Query<UpsertQuery>, body: Bytes) -> Result<StatusCode, ApiError> {
    let key = entry_key(query.key.as_deref())?;
    let reconciler_type = match query.reconciler_type.as_deref() {
        // The Go service takes a missing type, too.
        None | Some("") => ReconcilerType::Kubeflow,
        Some(text) => text.parse().map_err(|error| ApiError::bad_request(format!("type: {error}")))?,
    };
    let post: PostBody = from_json(&body).map_err(|error| {
        ApiError::bad_request(format!("the body of the upsert of {key} is not understood: {error}"))
    })?;
    if post.body.is_empty() {
        return Err(ApiError::bad_request(format!("the upsert of {key} brings no document: `body` is empty")));
    }
    let outcome = to_the_end(api.upsert(key, StoredEntry::new(reconciler_type, post))).await??;
    Ok(match outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Updated | Outcome::Unchanged => StatusCode::OK,
    })
}

impl Api {
    async fn upsert(self, key: EntryKey, entry: StoredEntry) -> Result<Outcome, ApiError> {
        let promises_a_key_set = entry.origin.is_some();
        let result = self.store()?.upsert(&key, entry).await;
        match &result {
            Ok(outcome) => {
                self.metrics.upserted(*outcome);
                tracing::debug!(%key, outcome = outcome.as_str(), "upsert");
            }
            Err(error) => {
                self.metrics.upsert_failed();
                tracing::warn!(%key, %error, "an upsert failed");
            }
        }
        // A write that failed may have been done all the same: delivery looks at what the store holds.
        if !matches!(result, Ok(Outcome::Unchanged)) {
            self.touched.touch([key]);
        }
        let outcome = result.map_err(|error| answer(&error))?;
        // Only our normalizer tells what an entry is made from, and it ends its first fill with a key set. With any other
        // sender there is nothing to wait for.
        if !promises_a_key_set {
            self.settle().await?;
        }
        Ok(outcome)
    }

    /// Keeps only what is in the key set; from then on what the store holds is the whole.
    async fn settle_with(self, current: BTreeSet<EntryKey>) -> Result<(), ApiError> {
        self.clone().keep_only(current).await?;
        self.settle().await
    }

    /// From now on what the store holds may be taken for the whole.
    async fn settle(&self) -> Result<(), ApiError> {
        if !self.settled.is_settled() {
            self.store()?.set_filling(Filling::Over).await.map_err(|error| answer(&error))?;
            self.settled.set(true);
        }
        Ok(())
    }

    async fn keep_only(self, current: BTreeSet<EntryKey>) -> Result<usize, ApiError> {
        let store = self.store()?;
        let index = store.index().await.map_err(|error| answer(&error))?;
        self.metrics.listed(index.len());
        let gone: Vec<EntryKey> =
            index.into_iter().map(|entry| entry.key).filter(|key| !current.contains(key)).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let result = store.remove(&gone).await;
        let count = gone.len();
        match &result {
            Ok(()) => tracing::info!(count, keys = %joined(&gone), "removed entries that are in no key set any more"),
            Err(error) => tracing::warn!(%error, count, "entries could not be removed"),
        }
        self.touched.touch(gone);
        result.map(|()| count).map_err(|error| answer(&error))
    }
}

async fn current_key_set(
    State(api): State<Api>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let current = key_set(&query, &headers, &body)?;
    to_the_end(api.settle_with(current)).await??;
    Ok(StatusCode::OK)
}

/// Ours: a normalizer that cannot read all of its sources says so that others need not wait for the rest.
async fn settle(State(api): State<Api>) -> Result<StatusCode, ApiError> {
    to_the_end(async move { api.settle().await }).await??;
    Ok(StatusCode::OK)
}

/// The keys of the query or, without any, those of a JSON body. Neither means that no model is left; anything that
/// could be a key set gone wrong is an error, since it would empty the store.
fn key_set(query: &[(String, String)], headers: &HeaderMap, body: &[u8]) -> Result<BTreeSet<EntryKey>, ApiError> {
    let values = query.iter().filter(|(name, _)| name == "key").flat_map(|(_, value)| value.split(','));
    let listed: Vec<&str> = values.map(str::trim).filter(|text| !text.is_empty()).collect();
    if !listed.is_empty() {
        return listed.into_iter().map(|text| entry_key(Some(text))).collect();
    }
    if body.is_empty() {
        return Ok(BTreeSet::new());
    }
    keys_of_body(headers, body)
}

fn keys_of_body<K: FromIterator<EntryKey>>(headers: &HeaderMap, body: &[u8]) -> Result<K, ApiError> {
    let content_type = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    if !content_type.starts_with(b"application/json") {
        return Err(ApiError::bad_request("a key set in the body needs the content type application/json"));
    }
    let set: KeySet = from_json(body)
        .map_err(|error| ApiError::bad_request(format!("the key set in the body is not understood: {error}")))?;
    set.keys.iter().map(|text| entry_key(Some(text))).collect()
}

#[derive(Deserialize)]
struct FetchQuery {
    key: Option<String>,
}

async fn fetch(State(api): State<Api>, Query(query): Query<FetchQuery>) -> Result<Response, ApiError> {
    let key = entry_key(query.key.as_deref())?;
    match api.store()?.fetch(&key).await.map_err(|error| answer(&error))? {
        Some(entry) => Ok(Json(StorageBody::from(entry)).into_response()),
        None => Err(ApiError::not_found(format!("there is no entry {key}"))),
    }
}

fn entry_key(text: Option<&str>) -> Result<EntryKey, ApiError> {
    match text {
        None | Some("") => Err(ApiError::bad_request("the query parameter `key` is missing")),
        Some(text) => text.parse().map_err(|error| ApiError::bad_request(format!("key: {error}"))),
    }
}

/// Does a change to its end even when the client goes away, so that whatever was written is delivered, too.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|error| ApiError::internal(format!("the request was not finished: {error}")))
}

fn answer(error: &StoreError) -> ApiError {
    let message = error.to_string();
    match error {
        StoreError::Unavailable { .. } | StoreError::Conflict { .. } => ApiError::unavailable(message),
        StoreError::TooLarge { .. } => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message),
        StoreError::Corrupt { .. }
        | StoreError::Permission { .. }
        | StoreError::Refused { .. }
        | StoreError::Settings { .. } => ApiError::internal(message),
    }
}

/// Some of the keys, for a log line.
fn joined(keys: &[EntryKey]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<&str> = keys.iter().take(SHOWN).map(EntryKey::as_str).collect();
    let more = if keys.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
