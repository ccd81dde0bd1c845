//! The list of all entries, written straight from the store's index: with 100,000 entries, copies of it would be much
//! memory.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bridge_api::messages::Origin;
use bridge_api::{Digest, KeyList};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize, Serializer};
use service::ApiError;
use service::openapi::ErrorAnswer;
use utoipa::IntoParams;

use super::{Api, answer};
use crate::store::IndexEntry;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Ours: tell digests, too, and whether the list is the whole [default: false]
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    details: String,
    /// Ours: with details, tell what entries are made from [default: true]
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    origins: String,
}

impl ListQuery {
    fn details(&self) -> Result<Details, ApiError> {
        let details = flag("details", &self.details)?.unwrap_or(false);
        let origins = flag("origins", &self.origins)?.unwrap_or(true);
        Ok(match (details, origins) {
            (true, false) => Details::Digests,
            (true, true) => Details::All,
            (false, _) => Details::None,
        })
    }
}

fn flag(name: &str, text: &str) -> Result<Option<bool>, ApiError> {
    match text {
        "" => Ok(None),
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(ApiError::bad_request(format!("{name} is either true or false"))),
    }
}

/// What is told besides the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Details {
    /// Nothing, as the Go bridge has it.
    None,
    /// Digests, and whether the list is the whole.
    Digests,
    /// What entries are made from, too.
    All,
}

/// All keys
#[utoipa::path(
    get, path = "/list", tag = "reads", params(ListQuery),
    responses(
        (status = OK, description = "The keys and, where they are asked for, details", body = KeyList),
        (status = BAD_REQUEST, description = "A parameter is neither true nor false", body = ErrorAnswer),
    )
)]
pub(super) async fn list(State(api): State<Api>, Query(query): Query<ListQuery>) -> Result<Response, ApiError> {
    let details = query.details()?;
    let index = api.store()?.index().await.map_err(|error| answer(&error))?;
    api.metrics.listed(index.len());
    let settled = api.settled.is_settled();
    // A long list takes a while.
    let written = tokio::task::spawn_blocking(move || written(&index, details, settled)).await;
    let json = written.map_err(|error| error.to_string()).and_then(|json| json.map_err(|error| error.to_string()));
    let json = json.map_err(|error| ApiError::internal(format!("the list can't be written: {error}")))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response())
}

fn written(index: &[IndexEntry], details: Details, settled: bool) -> serde_json::Result<Vec<u8>> {
    let (entries, settled) = match details {
        Details::None => (None, None),
        Details::Digests | Details::All => (Some(Entries(index, details)), Some(settled)),
    };
    serde_json::to_vec(&List { keys: Keys(index), entries, settled })
}

/// A `KeyList` that borrows.
#[derive(Serialize)]
struct List<'a> {
    keys: Keys<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<Entries<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<bool>,
}

struct Keys<'a>(&'a [IndexEntry]);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|entry| entry.key.as_str()))
    }
}

struct Entries<'a>(&'a [IndexEntry], Details);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(index, details) = self;
        serializer.collect_seq(index.iter().map(|entry| Entry {
            key: entry.key.as_str(),
            digest: &entry.digest,
            reconciler_type: entry.reconciler_type.as_str(),
            origin: entry.origin.as_ref().filter(|_| *details == Details::All),
        }))
    }
}

/// An `EntryDigest` that borrows.
#[derive(Serialize)]
struct Entry<'a> {
    key: &'a str,
    digest: &'a Digest,
    #[serde(rename = "type")]
    reconciler_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a Origin>,
}

#[cfg(test)]
mod tests {
    use bridge_api::{EntryDigest, KeyList, PostBody, ReconcilerType, from_json};

    use super::*;
    use crate::store::StoredEntry;

    fn index() -> Vec<IndexEntry> {
        let [source, parent, child, first, second] = ["registry", "1", "2", "granite", "v1"].map(str::to_owned);
        let origin = Origin { source, parent, child, first, second, served_by: None };
        let of = |name: &str, reconciler, origin| {
            let post = PostBody { body: name.as_bytes().to_vec(), origin, ..PostBody::default() };
            IndexEntry::of(name.parse().unwrap(), &StoredEntry::new(reconciler, post))
        };
        vec![of("granite_v1", ReconcilerType::Kubeflow, Some(origin)), of("served_v1", ReconcilerType::Kserve, None)]
    }

    #[test]
    fn what_is_written_is_the_list_of_the_wire_contract() {
        let index = index();
        let keys: Vec<String> = index.iter().map(|entry| entry.key.to_string()).collect();
        let told = |entry: &IndexEntry| EntryDigest {
            key: entry.key.to_string(),
            digest: entry.digest.clone(),
            reconciler_type: Some(entry.reconciler_type.to_string()),
            origin: entry.origin.clone(),
        };
        let all: Vec<EntryDigest> = index.iter().map(told).collect();
        let without: Vec<EntryDigest> = all.iter().map(|entry| EntryDigest { origin: None, ..entry.clone() }).collect();
        for (details, entries, settled) in [
            (Details::None, None, None),
            (Details::Digests, Some(without), Some(true)),
            (Details::All, Some(all), Some(true)),
        ] {
            let list: KeyList = from_json(&written(&index, details, true).unwrap()).unwrap();
            assert_eq!(list, KeyList { keys: keys.clone(), entries, settled });
        }
        assert_eq!(written(&[], Details::None, true).unwrap(), br#"{"keys":[]}"#);
    }
}
