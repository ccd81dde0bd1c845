//! Many entries with one request. Ours: location loads all of storage at its start, and a request an entry would be most
//! of what that costs.
//!
//! Both sides stay small: a request has so many keys at most, and an answer that is long enough names the keys that it
//! did not get to. Whoever asks goes on with those.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bridge_api::{EntryKey, FetchedEntries, KeySet, MAX_FETCHED_KEYS, StorageBody};
use http::HeaderMap;
use service::ApiError;
use service::openapi::ErrorAnswer;

use super::{Api, answer, keys_of_body};
use crate::store::{Store, StoreError, StoredEntry};

/// No more is read once an answer holds so many bytes of documents and model cards.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// So many entries are read before their size is looked at.
const STEP: usize = 50;

/// Many entries as they are kept
///
/// Ours. At most 1000 keys may be asked for; what the answer has no room for is in its `rest`.
#[utoipa::path(
    post, path = "/fetch", tag = "reads",
    request_body(content = KeySet, content_type = "application/json"),
    responses(
        (status = OK, description = "The entries that there are", body = FetchedEntries),
        (status = BAD_REQUEST, description = "These are no keys, or too many", body = ErrorAnswer),
    )
)]
pub(super) async fn fetch_many(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let keys: Vec<EntryKey> = keys_of_body(&headers, &body)?;
    if keys.len() > MAX_FETCHED_KEYS {
        let message = format!("{} keys are too many: at most {MAX_FETCHED_KEYS} are fetched at once", keys.len());
        return Err(ApiError::bad_request(message));
    }
    let store = api.store()?;
    let fetched = fetch(&*store, &keys, MAX_ANSWER_BYTES).await.map_err(|error| answer(&error))?;
    Ok(Json(fetched).into_response())
}

/// Reads the entries of `keys` in steps, until there are `enough` bytes.
async fn fetch(store: &dyn Store, keys: &[EntryKey], enough: usize) -> Result<FetchedEntries, StoreError> {
    let mut fetched = FetchedEntries { entries: BTreeMap::new(), rest: Vec::new() };
    let mut size = 0;
    let mut looked_for = 0;
    for step in keys.chunks(STEP) {
        for (key, entry) in readable(store, step).await? {
            size += entry.body.len() + entry.model_card.len();
            fetched.entries.insert(key, StorageBody::from(entry));
        }
        looked_for += step.len();
        if size >= enough {
            break;
        }
    }
    fetched.rest = keys.get(looked_for..).unwrap_or_default().to_vec();
    Ok(fetched)
}

/// The entries of `keys`. One that can't be read is left out, as the list leaves it out, and does not hide the others.
async fn readable(store: &dyn Store, keys: &[EntryKey]) -> Result<Vec<(EntryKey, StoredEntry)>, StoreError> {
    match store.fetch_many(keys).await {
        Err(StoreError::Corrupt { .. }) => {}
        other => return other,
    }
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        match store.fetch(key).await {
            Ok(entry) => found.extend(entry.map(|entry| (key.clone(), entry))),
            Err(error @ StoreError::Corrupt { .. }) => tracing::warn!(%key, %error, "an entry is left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bridge_api::{PostBody, ReconcilerType};

    use super::*;
    use crate::store::{Filling, ImportedLocation, IndexEntry, Outcome};

    /// Holds a document of ten bytes under each key but some.
    struct Tens;

    #[async_trait]
    impl Store for Tens {
        fn describe(&self) -> String {
            "tens".to_owned()
        }

        async fn ping(&self) -> Result<(), StoreError> {
            Ok(())
        }

        async fn index(&self) -> Result<Vec<IndexEntry>, StoreError> {
            Ok(Vec::new())
        }

        async fn fetch(&self, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError> {
            let post = PostBody { body: b"0123456789".to_vec(), ..PostBody::default() };
            match key.segments().0 {
                "gone" => Ok(None),
                "corrupt" => {
                    Err(StoreError::Corrupt { store: self.describe(), key: key.clone(), reason: "torn".to_owned() })
                }
                "down" => Err(StoreError::Unavailable { store: self.describe(), reason: "it is away".to_owned() }),
                _ => Ok(Some(StoredEntry::new(ReconcilerType::Kubeflow, post))),
            }
        }

        async fn upsert(&self, _: &EntryKey, _: StoredEntry) -> Result<Outcome, StoreError> {
            Ok(Outcome::Unchanged)
        }

        async fn remove(&self, _: &[EntryKey]) -> Result<(), StoreError> {
            Ok(())
        }

        async fn filling(&self) -> Result<Filling, StoreError> {
            Ok(Filling::Over)
        }

        async fn set_filling(&self, _: Filling) -> Result<(), StoreError> {
            Ok(())
        }

        async fn set_location(&self, _: &EntryKey, _: Option<ImportedLocation>) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn keys(count: usize) -> Vec<EntryKey> {
        (0..count).map(|n| format!("m_{n:04}").parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn an_answer_that_is_long_enough_leaves_the_rest_for_later() {
        let keys = keys(3 * STEP + 7);
        let whole = fetch(&Tens, &keys, usize::MAX).await.unwrap();
        assert_eq!((whole.entries.len(), whole.rest.len()), (keys.len(), 0));
        // Of what is larger than any answer something comes all the same.
        for (enough, steps) in [(0, 1), (1, 1), (STEP * 10, 1), (STEP * 10 + 1, 2), (3 * STEP * 10, 3)] {
            let part = fetch(&Tens, &keys, enough).await.unwrap();
            assert_eq!(part.entries.len(), steps * STEP, "{enough}");
            assert_eq!(part.rest, keys[steps * STEP..], "{enough}");
        }
        assert_eq!(fetch(&Tens, &[], 0).await.unwrap(), FetchedEntries::default());
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_readable_is_left_out_and_a_store_that_is_away_is_an_error() {
        let mut keys = keys(3);
        keys.extend(["gone_1", "corrupt_1"].map(|text| text.parse().unwrap()));
        let fetched = fetch(&Tens, &keys, usize::MAX).await.unwrap();
        assert_eq!(fetched.entries.into_keys().collect::<Vec<_>>(), keys[..3]);
        assert_eq!(fetched.rest, []);
        keys.push("down_1".parse().unwrap());
        fetch(&Tens, &keys, usize::MAX).await.unwrap_err();
    }
}
