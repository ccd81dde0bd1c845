//! The routes of the Go bridge's storage. What is ours is additive: `POST /settle`, `GET /status`, `details=true` at `/list`, a key set as
//! a JSON body, and many entries at once by `POST /fetch`.

mod fetch_many;
mod list;
mod status;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bridge_api::{EntryKey, KeySet, PostBody, ReconcilerType, StorageBody, from_json};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use service::openapi::{self, ErrorAnswer};
use service::telemetry::Cause;
use service::{ApiError, Authorizer};
use tracing::Instrument as _;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use status::Facts;

use crate::deliver::{Change, Settled, Touched};
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
pub fn router(api: Api, authorizer: &Authorizer) -> OpenApiRouter {
    let mut writes =
        OpenApiRouter::new().routes(routes!(upsert)).routes(routes!(current_key_set)).routes(routes!(settle));
    openapi::optional_body(writes.get_openapi_mut(), "/currentkeyset");
    let reads = OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(fetch, fetch_many::fetch_many))
        .routes(routes!(status::status));
    authorizer.guard_described_writes(writes).merge(authorizer.guard_described_reads(reads)).with_state(api)
}

impl Api {
    fn store(&self) -> Result<Arc<dyn Store>, ApiError> {
        self.store.get().map(Arc::clone).ok_or_else(|| ApiError::unavailable("the store can't be reached yet"))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UpsertQuery {
    /// The entry's key
    #[param(inline, value_type = EntryKey, required = true)]
    key: Option<String>,
    /// Which part of the normalizer it comes from; `kubeflow` where it is missing or empty
    #[serde(rename = "type")]
    #[param(inline, value_type = ReconcilerType, required = false)]
    reconciler_type: Option<String>,
}

/// Keep an entry
///
/// It is durable when this is answered. Location and Backstage are told of it later, however long that takes.
#[utoipa::path(
    post, path = "/upsert", tag = "writes", params(UpsertQuery),
    request_body(content = PostBody, content_type = "application/json"),
    responses(
        (status = CREATED, description = "The entry is new"),
        (status = OK, description = "There was an entry under that key, and this is in its place"),
        (status = BAD_REQUEST, description = "The key, the type or the body is missing or wrong", body = ErrorAnswer),
    )
)]
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
    let change = Change { at: post.changed_at, cause: Cause::current() };
    let outcome = to_the_end(api.upsert(key, StoredEntry::new(reconciler_type, post), change)).await??;
    Ok(match outcome {
        Outcome::Created => StatusCode::CREATED,
        Outcome::Updated | Outcome::Unchanged => StatusCode::OK,
    })
}

impl Api {
    async fn upsert(self, key: EntryKey, entry: StoredEntry, change: Change) -> Result<Outcome, ApiError> {
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
            self.touched.change(key, change);
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

/// Say which entries there are
///
/// Every other one is removed; without any key, all are. The keys come in the query, as a JSON body, or both ways.
#[utoipa::path(
    post, path = "/currentkeyset", tag = "writes",
    params(("key" = Option<Vec<EntryKey>>, Query, style = Form, explode = false, description = "All keys, between commas")),
    request_body(content = KeySet, content_type = "application/json", description = "The same in another form"),
    responses(
        (status = OK, description = "What is in no key set is removed"),
        (status = BAD_REQUEST, description = "It is no key set; nothing is removed", body = ErrorAnswer),
    )
)]
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

/// Say that what is kept is all that there will be for now
///
/// Ours: a normalizer that cannot read all of its sources says so that others need not wait for the rest.
#[utoipa::path(
    post, path = "/settle", tag = "writes",
    responses((status = OK, description = "From now on the list counts as the whole"))
)]
async fn settle(State(api): State<Api>) -> Result<StatusCode, ApiError> {
    to_the_end(async move { api.settle().await }).await??;
    Ok(StatusCode::OK)
}

/// The keys of the query and of a JSON body. Neither means that no model is left; anything that could be a key set gone
/// wrong is an error, since it would empty the store. Only beside keys in the query, a body that is no JSON says nothing.
fn key_set(query: &[(String, String)], headers: &HeaderMap, body: &[u8]) -> Result<BTreeSet<EntryKey>, ApiError> {
    let values = query.iter().filter(|(name, _)| name == "key").flat_map(|(_, value)| value.split(','));
    let listed: Vec<&str> = values.map(str::trim).filter(|text| !text.is_empty()).collect();
    let mut keys: BTreeSet<EntryKey> =
        listed.into_iter().map(|text| entry_key(Some(text))).collect::<Result<_, _>>()?;
    let is_key_set = if keys.is_empty() { !body.is_empty() } else { is_json(headers) && !body.is_empty() };
    if is_key_set {
        keys.extend(keys_of_body::<BTreeSet<EntryKey>>(headers, body)?);
    }
    Ok(keys)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

fn keys_of_body<K: FromIterator<EntryKey>>(headers: &HeaderMap, body: &[u8]) -> Result<K, ApiError> {
    if !is_json(headers) {
        return Err(ApiError::bad_request("a key set in the body needs the content type application/json"));
    }
    let set: KeySet = from_json(body)
        .map_err(|error| ApiError::bad_request(format!("the key set in the body is not understood: {error}")))?;
    set.keys.iter().map(|text| entry_key(Some(text))).collect()
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FetchQuery {
    /// The entry's key
    #[param(inline, value_type = EntryKey, required = true)]
    key: Option<String>,
}

/// An entry as it is kept
#[utoipa::path(
    get, path = "/fetch", tag = "reads", params(FetchQuery),
    responses(
        (status = OK, description = "The entry", body = StorageBody),
        (status = BAD_REQUEST, description = "The key is missing or none", body = ErrorAnswer),
        (status = NOT_FOUND, description = "There is no such entry", body = ErrorAnswer),
    )
)]
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
    let done = tokio::spawn(work.in_current_span()).await;
    done.map_err(|error| ApiError::internal(format!("the request was not finished: {error}")))
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
