//! The routes: Backstage reads, storage writes.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use bridge_api::{EntryKey, PostBody, Upserted, UriList, from_json};
use http::StatusCode;
use model_catalog::render::Format;
use serde::{Deserialize, Serialize};
use service::openapi::{self, ErrorAnswer};
use service::{ApiError, Authorizer, Readiness};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::catalog::ServedCatalog;
use crate::metrics::ChangeTimes;
use crate::representation::Wanted;
use crate::snapshot::{Completeness, Entry, ListKind, Snapshot};

const MARKDOWN: &str = "text/markdown; charset=utf-8";
const JSON: &str = "application/json";
const DOCUMENT: &str = "/{model}/{version}/{file}";
/// Newer providers of RHDH ask for `/models/` with the URI, or all of it, behind.
const ALIASES: [(&str, &str); 2] =
    [("/models/{model}/{version}/{file}", "model_document"), ("/models//{model}/{version}/{file}", "models_document")];

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    catalog: Arc<ServedCatalog>,
    readiness: Readiness,
    changes: ChangeTimes,
}

/// The routes of `catalog`, for those whom `authorizer` lets in; `readiness` says why there is nothing to read yet, `changes` is told
/// how long changes took.
pub fn router(
    catalog: Arc<ServedCatalog>,
    readiness: Readiness,
    changes: ChangeTimes,
    authorizer: &Authorizer,
) -> OpenApiRouter {
    let mut reads = OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(status))
        .routes(routes!(model_card))
        .routes(routes!(document));
    for (path, operation) in ALIASES {
        openapi::alias(reads.get_openapi_mut(), DOCUMENT, path, operation);
        reads = reads.route(path, get(document));
    }
    let writes = OpenApiRouter::new().routes(routes!(upsert)).routes(routes!(remove));
    let routes = authorizer.guard_described_writes(writes).merge(authorizer.guard_described_reads(reads));
    routes.with_state(Api { catalog, readiness, changes })
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

/// What is served, in short, ready or not
#[utoipa::path(
    get, path = "/status", tag = "state",
    responses((status = OK, description = "Format, counts, and why nothing is shown yet", body = serde_json::Value))
)]
async fn status(State(api): State<Api>) -> Json<Status> {
    let snapshot = api.catalog.snapshot();
    Json(Status {
        format: api.catalog.format(),
        entries: snapshot.entries(),
        model_cards: snapshot.cards(),
        not_ready: api.readiness.reason(),
    })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Ours: tell digests, too [default: false]
    #[param(value_type = Option<bool>)]
    details: Option<String>,
}

/// Where all documents are
#[utoipa::path(
    get, path = "/list", tag = "reads", params(ListQuery),
    responses(
        (status = OK, description = "The paths and, where they are asked for, digests", body = UriList),
        (status = NOT_MODIFIED, description = "It is what `If-None-Match` names"),
        (status = BAD_REQUEST, description = "A parameter is neither true nor false", body = ErrorAnswer),
    )
)]
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

/// The document of an entry
#[utoipa::path(
    get, path = DOCUMENT, tag = "reads",
    params(
        ("model" = String, Path, description = "The registered model, or the namespace", example = "granite-8b"),
        ("version" = String, Path, description = "The model version, or the InferenceService", example = "v1"),
        ("file" = String, Path, description = "By NORMALIZER_FORMAT", example = "model-catalog.json"),
    ),
    responses(
        (
            status = OK, description = "The document",
            content((String = "application/yaml"), (serde_json::Value = "application/json"))
        ),
        (status = NOT_MODIFIED, description = "It is what `If-None-Match` names"),
        (status = NOT_FOUND, description = "There is no such entry, or another format is served", body = ErrorAnswer),
    )
)]
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

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct KeyQuery {
    /// The entry's key
    #[param(inline, value_type = EntryKey, required = true)]
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

/// A model card
#[utoipa::path(
    get, path = "/modelcard", tag = "reads",
    params(("key" = String, Query, description = "The card's key, as it was pushed", min_length = 1, example = "granite-8b")),
    responses(
        (status = OK, description = "The card", body = String, content_type = "text/markdown"),
        (status = NOT_MODIFIED, description = "It is what `If-None-Match` names"),
        (status = BAD_REQUEST, description = "The key is missing", body = ErrorAnswer),
        (status = NOT_FOUND, description = "No entry has such a card", body = ErrorAnswer),
    )
)]
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

/// Serve an entry
///
/// The document must be of the format that is served.
#[utoipa::path(
    post, path = "/upsert", tag = "writes", params(KeyQuery),
    request_body(content = PostBody, content_type = "application/json"),
    responses(
        (status = CREATED, description = "The entry is new"),
        (status = OK, description = "There was an entry under that key, and this is in its place"),
        (status = BAD_REQUEST, description = "The key or the body is missing or wrong", body = ErrorAnswer),
    )
)]
async fn upsert(State(api): State<Api>, Query(query): Query<KeyQuery>, body: Bytes) -> Result<StatusCode, ApiError> {
    let key = query.entry_key()?;
    let content: PostBody = from_json(&body)
        .map_err(|error| ApiError::bad_request(format!("the body for key {key} is not as expected: {error}")))?;
    // The bytes as they came are not needed any more, and may be many.
    drop(body);
    let PostBody { body, model_card_key, model_card, changed_at, .. } = content;
    let entry = Entry::new(api.catalog.format(), body, &model_card_key, model_card)
        .map_err(|error| ApiError::bad_request(format!("key {key}: {error}")))?;
    let is_news = api.catalog.current().would_serve_anew(&key, &entry);
    let pushed = api.catalog.push(key.clone(), entry);
    if let Some(at) = changed_at.filter(|_| is_news) {
        api.changes.served(at);
    }
    match pushed {
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

/// Serve an entry no longer
///
/// Of an entry that is not there, too, it can be said afterwards that it is gone.
#[utoipa::path(
    delete, path = "/remove", tag = "writes", params(KeyQuery),
    responses(
        (status = OK, description = "It is gone"),
        (status = BAD_REQUEST, description = "The key is missing or none", body = ErrorAnswer),
    )
)]
async fn remove(State(api): State<Api>, Query(query): Query<KeyQuery>) -> Result<StatusCode, ApiError> {
    let key = query.entry_key()?;
    api.catalog.remove(&key);
    tracing::debug!(%key, "entry removed");
    Ok(StatusCode::OK)
}
