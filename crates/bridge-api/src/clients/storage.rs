//! The client of storage-rest.

use calls::Calls;
use http::StatusCode;
use reqwest::Client;
use secrecy::SecretString;
use url::Url;

use super::transport::Transport;
use super::{ClientError, Upserted};
use crate::key::EntryKey;
use crate::messages::{FetchedEntries, KeyList, KeySet, MAX_FETCHED_KEYS, PostBody, ReconcilerType, StorageBody};
use bearer::{Token, TokenSource};

/// Up to here any server and proxy takes a URL.
const MAX_COMFORTABLE_URL: usize = 6_000;
/// Up to here a Go storage takes one, when no proxy stands in between, and our HTTP library makes one.
const MAX_URL: usize = 60_000;

/// Talks to a storage-rest, ours or the Go bridge's.
#[derive(Debug, Clone)]
pub struct StorageClient {
    transport: Transport,
}

impl StorageClient {
    /// A client of the storage at `base`.
    pub fn new(base: Url, http: Client) -> Self {
        Self { transport: Transport::new("storage", base, http) }
    }

    /// Sends `token` with every request from now on.
    #[must_use]
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.transport.set_token(Token::fixed(token));
        self
    }

    /// Sends what `source` gives with every request from now on.
    #[must_use]
    pub fn with_token_source(mut self, source: TokenSource) -> Self {
        self.transport.set_token(Token::from_source(source));
        self
    }

    /// Tells of every request from now on, as `calls` does.
    #[must_use]
    pub fn with_calls(mut self, calls: Calls) -> Self {
        self.transport.set_calls(calls);
        self
    }

    /// Stores an entry. It is durable when this returns.
    pub async fn upsert(
        &self,
        key: &EntryKey,
        reconciler_type: ReconcilerType,
        body: &PostBody,
    ) -> Result<Upserted, ClientError> {
        let query = [("key", key.as_str()), ("type", reconciler_type.as_str())];
        let url = self.transport.url("upsert", &query)?;
        let answer = self.transport.post(url, Some(body)).await?.successful()?;
        Ok(if answer.status == StatusCode::CREATED { Upserted::Created } else { Upserted::Existed })
    }

    /// Says which keys there are; storage removes every other entry. An empty set means that no model is left.
    pub async fn current_key_set(&self, keys: &[EntryKey]) -> Result<(), ClientError> {
        let joined = keys.iter().map(EntryKey::as_str).collect::<Vec<_>>().join(",");
        let url = self.transport.url("currentkeyset", &[("key", &joined)])?;
        let bytes = url.as_str().len();
        if bytes <= MAX_COMFORTABLE_URL {
            return self.transport.post(url, None::<&KeySet>).await?.successful().map(drop);
        }
        // A Go storage would take a key set without the parameter for an empty one and remove everything.
        if self.knows_our_additions().await? {
            let url = self.transport.url("currentkeyset", &[])?;
            let set = KeySet { keys: keys.iter().map(ToString::to_string).collect() };
            return self.transport.post(url, Some(&set)).await?.successful().map(drop);
        }
        if bytes <= MAX_URL {
            return self.transport.post(url, None::<&KeySet>).await?.successful().map(drop);
        }
        Err(ClientError::KeySetTooLong { keys: keys.len(), bytes, url: self.transport.shown_base() })
    }

    /// Tells a storage of ours, which is being filled, that what it holds is all that there will be for now.
    pub async fn settle(&self) -> Result<(), ClientError> {
        let url = self.transport.url("settle", &[])?;
        self.transport.post(url, None::<&KeySet>).await?.successful().map(drop)
    }

    /// All keys; with the digests of all entries, if the storage is ours.
    pub async fn list(&self) -> Result<KeyList, ClientError> {
        let url = self.transport.url("list", &[("details", "true")])?;
        self.transport.get(url).await?.json()
    }

    /// The same without what entries are made from, which is the most of a long list.
    pub async fn list_digests(&self) -> Result<KeyList, ClientError> {
        let url = self.transport.url("list", &[("details", "true"), ("origins", "false")])?;
        self.transport.get(url).await?.json()
    }

    /// Several entries at once, of a storage of ours: a Go storage has no such route and answers with an error. What does
    /// not fit into a request or its answer is left as the rest.
    pub async fn fetch_many(&self, keys: &[EntryKey]) -> Result<FetchedEntries, ClientError> {
        let (asked, beyond) = keys.split_at(keys.len().min(MAX_FETCHED_KEYS));
        let url = self.transport.url("fetch", &[])?;
        let set = KeySet { keys: asked.iter().map(ToString::to_string).collect() };
        let mut fetched: FetchedEntries = self.transport.post(url, Some(&set)).await?.json()?;
        fetched.rest.extend_from_slice(beyond);
        Ok(fetched)
    }

    /// An entry, or nothing when storage does not hold it.
    pub async fn fetch(&self, key: &EntryKey) -> Result<Option<StorageBody>, ClientError> {
        let url = self.transport.url("fetch", &[("key", key.as_str())])?;
        let answer = self.transport.get(url).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { answer.json().map(Some) }
    }

    /// Asked anew before each use of what only our storage understands: the service behind the URL may have been
    /// exchanged since.
    async fn knows_our_additions(&self) -> Result<bool, ClientError> {
        Ok(self.list().await?.entries.is_some())
    }
}
