//! The catalog's REST API.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Catalog;
use super::models::{Model, Snapshot, Source};
use crate::api::{Failure, Params};

/// Of a page, unless the request says otherwise.
const PAGE_SIZE: usize = 10;
const LARGEST_PAGE: usize = 1000;
/// Of a filter, so that interfaces can show all of its values.
const MOST_VALUES: usize = 200;

type Answer = Result<Json<Value>, Failure>;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogPage)]
struct Shown {
    /// What is on it
    items: Vec<Value>,
    /// Where the next one begins; empty for the last
    next_page_token: String,
    /// How many it holds at most
    page_size: usize,
    /// How many it holds
    size: usize,
}

/// The routes.
pub fn router(catalog: Catalog) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(sources))
        .routes(routes!(labels))
        .routes(routes!(models))
        .routes(routes!(filter_options))
        .routes(routes!(model))
        .with_state(catalog)
}

/// Sources
#[utoipa::path(get, path = "/api/model_catalog/v1alpha1/sources", tag = "catalog", responses((status = OK, description = "A page of sources", body = Shown)))]
async fn sources(State(catalog): State<Catalog>, uri: Uri) -> Answer {
    let asked = Params::of(&uri)?;
    let snapshot = catalog.snapshot();
    let name = asked.get("name").map(str::to_lowercase);
    let is_meant = |source: &&Source| name.as_ref().is_none_or(|name| source.name.to_lowercase().contains(name));
    let of_models = asked.get("assetType").is_none_or(|asset| asset == "models");
    let sources = snapshot.sources.iter().filter(|_| of_models).filter(is_meant);
    page(&asked, sources.map(|source| (source.id.clone(), shown_source(source))).collect())
}

fn shown_source(source: &Source) -> Value {
    json!({
        "id": source.id,
        "name": source.name,
        "enabled": source.enabled,
        "labels": source.labels,
        "status": source.status(),
        "error": source.error,
        "includedModels": source.included,
        "excludedModels": source.excluded,
        "assetType": "models",
    })
}

/// Labels of sources
#[utoipa::path(get, path = "/api/model_catalog/v1alpha1/labels", tag = "catalog", responses((status = OK, description = "A page of labels", body = Shown)))]
async fn labels(State(catalog): State<Catalog>, uri: Uri) -> Answer {
    let asked = Params::of(&uri)?;
    let snapshot = catalog.snapshot();
    let name = |label: &Map<String, Value>| label.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut labels: Vec<(String, Value)> =
        snapshot.labels.iter().map(|label| (name(label), Value::Object(label.clone()))).collect();
    let described: BTreeSet<String> = labels.iter().map(|(name, _)| name.clone()).collect();
    let used: BTreeSet<&String> = snapshot.sources.iter().flat_map(|source| &source.labels).collect();
    let others = used.into_iter().filter(|label| !described.contains(*label));
    labels.extend(others.map(|label| (label.clone(), json!({ "name": label }))));
    page(&asked, labels)
}

/// Models
#[utoipa::path(get, path = "/api/model_catalog/v1alpha1/models", tag = "catalog", responses((status = OK, description = "A page of models", body = Shown)))]
async fn models(State(catalog): State<Catalog>, uri: Uri) -> Answer {
    let asked = Params::of(&uri)?;
    let snapshot = catalog.snapshot();
    let (sources, labels) = (asked.all("source").collect::<Vec<_>>(), asked.all("sourceLabel").collect::<Vec<_>>());
    let source_is_meant = |source: &&Source| {
        (sources.is_empty() || sources.contains(&source.id.as_str()))
            && (labels.is_empty() || source.labels.iter().any(|label| labels.contains(&label.as_str())))
    };
    let words = asked.get("q");
    let model_is_meant = |(_, model): &(&String, &Model)| words.is_none_or(|words| model.is_like(words));
    let meant = snapshot.sources.iter().filter(source_is_meant).flat_map(|source| &source.models);
    let mut found: Vec<(String, Value)> = meant
        .filter(model_is_meant)
        .map(|(name, model)| {
            let key = format!("{name}\u{0}{}", model.text("source_id").unwrap_or_default());
            (key, Value::Object(model.shown.clone()))
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    page(&asked, found)
}

/// What models can be told apart by
#[utoipa::path(get, path = "/api/model_catalog/v1alpha1/models/filter_options", tag = "catalog", responses((status = OK, description = "Fields and their values", body = Value)))]
async fn filter_options(State(catalog): State<Catalog>) -> Json<Value> {
    Json(json!({ "filters": options(&catalog.snapshot()), "namedQueries": {} }))
}

fn options(snapshot: &Snapshot) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::<&str, BTreeSet<&str>>::new();
    for model in snapshot.sources.iter().flat_map(|source| source.models.values()) {
        for field in ["provider", "license", "libraryName", "maturity"] {
            values.entry(field).or_default().extend(model.text(field));
        }
        for field in ["language", "tasks"] {
            let texts =
                model.shown.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            values.entry(field).or_default().extend(texts);
        }
    }
    let with_any = values.into_iter().filter(|(_, values)| !values.is_empty());
    with_any
        .map(|(field, values)| {
            let values: Vec<&str> = values.into_iter().take(MOST_VALUES).collect();
            (field.to_owned(), json!({ "type": "string", "values": values }))
        })
        .collect()
}

/// A model, or its artifacts: names of models may hold `/`
#[utoipa::path(
    get, path = "/api/model_catalog/v1alpha1/sources/{source_id}/models/{*model_name}", tag = "catalog",
    params(("source_id" = String, Path, description = "The source"), ("model_name" = String, Path, description = "The model; with `/artifacts` behind it, its artifacts")),
    responses((status = OK, description = "The model", body = Value))
)]
async fn model(State(catalog): State<Catalog>, Path((source, name)): Path<(String, String)>, uri: Uri) -> Answer {
    let snapshot = catalog.snapshot();
    let source = snapshot.sources.iter().find(|known| known.id == source);
    let find = |name: &str| source.and_then(|source| source.models.get(name));
    if let Some(model) = find(&name) {
        return Ok(Json(Value::Object(model.shown.clone())));
    }
    let of = [("/artifacts/performance", Some("metrics-artifact")), ("/artifacts", None)];
    for (ending, artifact_type) in of {
        if let Some(model) = name.strip_suffix(ending).and_then(find) {
            return artifacts(model, artifact_type, &uri);
        }
    }
    Err(Failure::not_found(format!("there is no catalog model {name} in this source")))
}

fn artifacts(model: &Model, only: Option<&str>, uri: &Uri) -> Answer {
    let asked = Params::of(uri)?;
    let wanted: Vec<&str> = asked.all("artifactType").chain(asked.all("artifact_type")).chain(only).collect();
    let is_meant = |artifact: &&Map<String, Value>| {
        let of = artifact.get("artifactType").and_then(Value::as_str).unwrap_or_default();
        wanted.is_empty() || wanted.contains(&of)
    };
    let found = model.artifacts.iter().filter(is_meant);
    let found = found.enumerate().map(|(index, fields)| (format!("{index:09}"), Value::Object(fields.clone())));
    page(&asked, found.collect())
}

/// The page of these, which are in their order, each with a key that none of the others has.
fn page(asked: &Params, mut all: Vec<(String, Value)>) -> Answer {
    if asked.get("sortOrder") == Some("DESC") {
        all.reverse();
    }
    let size = match asked.get("pageSize") {
        None => PAGE_SIZE,
        Some(text) => match text.parse() {
            Ok(size @ 1..) => usize::min(size, LARGEST_PAGE),
            _ => return Err(Failure::bad_request(format!("pageSize is {text:?}, which is no number from 1 on"))),
        },
    };
    let begin = match asked.get("nextPageToken") {
        None => 0,
        Some(token) => {
            let key = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let key = key.ok_or_else(|| Failure::bad_request("nextPageToken is none of ours"))?;
            // What it named may have gone since: the list goes on where it would be.
            let after = |(other, _): &(String, Value)| match asked.get("sortOrder") {
                Some("DESC") => *other < key,
                _ => *other > key,
            };
            match all.iter().position(|(other, _)| *other == key) {
                Some(last) => last + 1,
                None => all.iter().position(after).unwrap_or(all.len()),
            }
        }
    };
    let more = all.len() > begin + size;
    let items: Vec<(String, Value)> = all.into_iter().skip(begin).take(size).collect();
    let last = items.last().filter(|_| more);
    let next_page_token = last.map(|(key, _)| URL_SAFE_NO_PAD.encode(key)).unwrap_or_default();
    let items: Vec<Value> = items.into_iter().map(|(_, value)| value).collect();
    let shown = Shown { size: items.len(), items, next_page_token, page_size: size };
    serde_json::to_value(shown).map(Json).map_err(|error| Failure::bad_request(error.to_string()))
}
