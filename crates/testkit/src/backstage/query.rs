//! `GET /entities/by-query`: filters, pages, and the cursor that carries both.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::routes::failure;

const DEFAULT_LIMIT: usize = 20;

#[derive(Serialize, Deserialize)]
struct Cursor {
    filters: Vec<String>,
    offset: usize,
}

pub(super) fn answer(entities: &[Value], query: &str) -> Response {
    let bad = |message: &str| failure(StatusCode::BAD_REQUEST, "InputError", message);
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let all = |name: &str| pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect();
    let (filters, cursors, limits): (Vec<String>, Vec<String>, Vec<String>) =
        (all("filter"), all("cursor"), all("limit"));
    let cursor = match (cursors.first(), filters.is_empty()) {
        (Some(_), false) => return bad("filter and cursor can't be given together"),
        (None, _) => Cursor { filters, offset: 0 },
        (Some(text), true) => match decoded(text) {
            Some(cursor) => cursor,
            None => return bad("Malformed cursor"),
        },
    };
    let limit = match limits.first().map(|text| text.parse()) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if limit > 0 => limit,
        Some(_) => return bad("Invalid limit"),
    };
    let selected: Vec<&Value> = entities.iter().filter(|entity| matches_any(entity, &cursor.filters)).collect();
    let items: Vec<&Value> = selected.iter().skip(cursor.offset).take(limit).copied().collect();
    let offset = cursor.offset + items.len();
    let mut page_info = json!({});
    if offset < selected.len() {
        page_info["nextCursor"] = encoded(&Cursor { offset, ..cursor }).into();
    }
    Json(json!({ "items": items, "totalItems": selected.len(), "pageInfo": page_info })).into_response()
}

fn decoded(text: &str) -> Option<Cursor> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn encoded(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).unwrap_or_default())
}

/// Each filter is a list of conditions that all hold; one filter is enough.
fn matches_any(entity: &Value, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| filter.split(',').all(|condition| holds(entity, condition)))
}

/// `key=value`, or `key` for entities that have it at all. Letters count in neither.
fn holds(entity: &Value, condition: &str) -> bool {
    let (key, wanted) = match condition.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (condition, None),
    };
    let Some(found) = lookup(entity, key) else { return false };
    wanted.is_none_or(|wanted| found.as_str().is_some_and(|text| text.eq_ignore_ascii_case(wanted)))
}

/// The value under a path of keys with dots between them; keys may hold dots, too.
fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.iter().find_map(|(key, inner)| {
        let prefix = path.get(..key.len()).filter(|prefix| prefix.eq_ignore_ascii_case(key))?;
        match &path[prefix.len()..] {
            "" => Some(inner),
            rest => lookup(inner, rest.strip_prefix('.')?),
        }
    })
}
