//! The routes: Backstage reads, storage writes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bridge_api::{EntryKey, PostBody, Upserted, from_json};
use http::StatusCode;
use model_catalog::render::Format;
use serde::{Deserialize, Serialize};
use service::{ApiError, Authorizer, Readiness};

use crate::catalog::ServedCatalog;
use crate::representation::Wanted;
use crate::snapshot::{Completeness, Entry, ListKind, Snapshot};

const MARKDOWN: &str = "text/markdown; charset=utf-8";
const JSON: &str = "application/json";

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    catalog: Arc<ServedCatalog>,
    readiness: Readiness,
}

/// The routes of `catalog`, for those whom `authorizer` lets in; `readiness` says why there is nothing to read yet.
pub fn router(catalog: Arc<ServedCatalog>, readiness: Readiness, authorizer: &Authorizer) -> Router {
    let reads = Router::new()
        .route("/list", get(list))
        .route("/status", get(status))
        .route("/modelcard", get(model_card))
        .route("/{model}/{version}/{file}", get(document))
        // Newer providers of RHDH ask for `/models/` with the URI, or all of it, behind.
        .route("/models/{model}/{version}/{file}", get(document))
        .route("/models//{model}/{version}/{file}", get(document));
    let writes = Router::new().route("/upsert", post(upsert)).route("/remove", delete(remove));
    let routes = authorizer.guard_writes(writes).merge(authorizer.guard_reads(reads));
    routes.with_state(Api { catalog, readiness })
}

impl Api {
    /// The snapshot to read from, once storage was loaded.
    fn readable(&self) -> Result<Arc<Snapshot>, ApiError> {
        let snapshot = self.catalog.snapshot();
        if snapshot.completeness() == Completeness::Loaded {
            return Ok(snapshot);
        }
        let reason = self.readiness.reason().unwrap_or_else(|| "nothing was loaded from storage yet".to_owned());
        Err(ApiError::unavailable(reason))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    format: Format,
    entries: usize,
    model_cards: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ready: Option<String>,
}

/// What is served, in short, ready or not.
async fn status(State(api): State<Api>) -> Json<Status> {
    let snapshot = api.catalog.snapshot();
    Json(Status {
        format: api.catalog.format(),
        entries: snapshot.entries(),
        model_cards: snapshot.cards(),
        not_ready: api.readiness.reason(),
    })
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    details: Option<String>,
}

async fn list(State(api): State<Api>, Query(query): Query<ListQuery>, wanted: Wanted) -> Result<Response, ApiError> {
    let snapshot = api.readable()?;
    let kind = match query.details.as_deref() {
        None | Some("" | "false" | "0") => ListKind::Uris,
        Some("true" | "1") => ListKind::Details,
        Some(_) => return Err(ApiError::bad_request("details is either true or false")),
    };
    let format = api.catalog.format();
    // The first reader of a snapshot has its list made, which takes a while when it is a long one.
    let answer = tokio::task::spawn_blocking(move || {
        let list = snapshot.list(kind, format);
        list.prepare(wanted.encoding());
        list.answer(JSON, &wanted)
    });
    answer.await.map_err(|_| ApiError::internal("the list could not be made: see the log of location"))
}

async fn document(
    State(api): State<Api>,
    Path((model, version, file)): Path<(String, String, String)>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let snapshot = api.readable()?;
    let format = api.catalog.format();
    if file != format.file_name() {
        let message = format!("there is only {} here, because NORMALIZER_FORMAT is {format}", format.file_name());
        return Err(ApiError::not_found(message));
    }
    let entry = snapshot
        .entry_at(&model, &version)
        .ok_or_else(|| ApiError::not_found("there is no such entry in the catalog"))?;
    Ok(entry.document().answer(format.content_type(), &wanted))
}

#[derive(Debug, Deserialize)]
struct KeyQuery {
    key: Option<String>,
}

impl KeyQuery {
    fn text(&self) -> Result<&str, ApiError> {
        let text = self.key.as_deref().filter(|text| !text.is_empty());
        text.ok_or_else(|| ApiError::bad_request("the parameter `key` is missing"))
    }

    fn entry_key(&self) -> Result<EntryKey, ApiError> {
        self.text()?.parse().map_err(|error: bridge_api::KeyError| ApiError::bad_request(error.to_string()))
    }
}

async fn model_card(
    State(api): State<Api>,
    Query(query): Query<KeyQuery>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let snapshot = api.readable()?;
    let card = snapshot.card(query.text()?);
    let card = card.ok_or_else(|| ApiError::not_found("no entry of the catalog has such a model card"))?;
    Ok(card.answer(MARKDOWN, &wanted))
}

async fn upsert(State(api): State<Api>, Query(query): Query<KeyQuery>, body: Bytes) -> Result<StatusCode, ApiError> {
    let key = query.entry_key()?;
    let content: PostBody = from_json(&body)
        .map_err(|error| ApiError::bad_request(format!("the body for key {key} is not as expected: {error}")))?;
    // The bytes as they came are not needed any more, and may be many.
    drop(body);
    let PostBody { body, model_card_key, model_card, .. } = content;
    let entry = Entry::new(api.catalog.format(), body, &model_card_key, model_card)
        .map_err(|error| ApiError::bad_request(format!("key {key}: {error}")))?;
    match api.catalog.push(key.clone(), entry) {
        Upserted::Created => {
            tracing::debug!(%key, "entry added");
            Ok(StatusCode::CREATED)
        }
        Upserted::Existed => {
            tracing::debug!(%key, "entry pushed again");
            Ok(StatusCode::OK)
        }
    }
}

/// Of an entry that is not there, too, it can be said afterwards that it is gone.
async fn remove(State(api): State<Api>, Query(query): Query<KeyQuery>) -> Result<StatusCode, ApiError> {
    let key = query.entry_key()?;
    api.catalog.remove(&key);
    tracing::debug!(%key, "entry removed");
    Ok(StatusCode::OK)
}
