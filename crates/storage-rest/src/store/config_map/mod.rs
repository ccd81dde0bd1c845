//! Entries in ConfigMaps. The first is the Go bridge's: `binaryData[key]` of `bac-import-model` is a StorageBody as
//! JSON. What a Go bridge left is carried on; whatever else is in there is left alone. Entries that it has no room for
//! are in further ones, `bac-import-model-1` and so on, and an entry is found in whichever it is.
//!
//! A write of the Kubernetes API is dear, so edits of entries that come while one is under way share the next one. Each
//! is answered when its own is durable, and one that can't be done fails alone.

mod codec;
mod copies;
mod draft;
mod layout;
mod requests;
mod retries;
mod shard;
mod shards;
mod value;
mod write;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bridge_api::EntryKey;
use kube::Client;

use super::group::Group;
use super::{Filling, ImportedLocation, IndexEntry, Outcome, Store, StoreError, StoredEntry};
use layout::FILLING;
use requests::Requests;
use shard::Snapshot;
use shards::Shards;
use value::Value;
use write::{Edit, Writer};

pub use layout::{CONFIG_MAP_NAME, GoCompatible, Layout, NotGoCompatible, STORE_LABEL};
pub use retries::Retries;

/// Keeps entries in the ConfigMaps of one namespace.
pub struct ConfigMapStore {
    shards: Shards,
    layout: Layout,
    edits: Group<Edit, Result<Outcome, StoreError>>,
    reported: Mutex<Vec<String>>,
}

impl ConfigMapStore {
    /// Opens the ConfigMaps in `namespace`; the first is created when it is missing.
    pub async fn open(client: Client, namespace: &str, retries: Retries, layout: Layout) -> Result<Self, StoreError> {
        let shards = Shards::new(client, namespace, retries);
        let store = Self { shards, layout, edits: Group::default(), reported: Mutex::default() };
        store.writer().make_first().await?;
        store.writer().bring_home().await?;
        Ok(store)
    }

    /// Whether the API would let the store write in `namespace`: it judges a write of the first ConfigMap, and does
    /// none.
    pub async fn rehearse(client: Client, namespace: &str) -> Result<(), StoreError> {
        let store = format!("ConfigMaps in namespace {namespace}");
        let requests = Requests::new(client, namespace, Retries::default().request_timeout);
        requests.rehearse(CONFIG_MAP_NAME).await.map_err(|failure| requests.error(store, &failure))
    }

    fn writer(&self) -> Writer<'_> {
        Writer { shards: &self.shards, layout: self.layout }
    }

    async fn edit(&self, edit: Edit) -> Result<Outcome, StoreError> {
        let done = self.edits.write(edit, |edits| async move { self.writer().edit_all(&edits).await }).await;
        done.unwrap_or_else(|| Err(StoreError::given_up(self.describe())))
    }

    /// Says once for each state of affairs which values are no entries.
    fn report_corrupt(&self, corrupt: Vec<String>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if *reported == corrupt {
            return;
        }
        for problem in &corrupt {
            tracing::warn!("{problem}; it is left alone, and neither listed nor served");
        }
        *reported = corrupt;
    }

    fn entry(&self, snapshot: &Snapshot, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError> {
        let Some(held) = snapshot.held(key) else { return Ok(None) };
        let decoded = held.value.decode().map_err(|reason| self.writer().corrupt(key, reason))?;
        Ok(Some(decoded.entry))
    }

    fn listed(&self, key: &EntryKey, value: &Value) -> Result<IndexEntry, StoreError> {
        let facts = value.facts(key).map_err(|reason| self.writer().corrupt(key, reason))?;
        Ok(facts.listed.clone())
    }
}

#[async_trait]
impl Store for ConfigMapStore {
    fn describe(&self) -> String {
        self.shards.describe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.shards.ping().await
    }

    async fn index(&self) -> Result<Vec<IndexEntry>, StoreError> {
        let snapshot = self.shards.read_now().await?;
        let mut entries = Vec::new();
        let mut corrupt = Vec::new();
        for (key, value) in snapshot.entries() {
            match self.listed(&key, &value) {
                Ok(listed) => entries.push(listed),
                Err(error) => corrupt.push(error.to_string()),
            }
        }
        entries.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        corrupt.sort_unstable();
        self.report_corrupt(corrupt);
        Ok(entries)
    }

    async fn fetch(&self, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError> {
        let snapshot = self.shards.read_recent().await?;
        self.entry(&snapshot, key)
    }

    async fn fetch_many(&self, keys: &[EntryKey]) -> Result<Vec<(EntryKey, StoredEntry)>, StoreError> {
        let snapshot = self.shards.read_recent().await?;
        let found = keys.iter().filter_map(|key| match self.entry(&snapshot, key) {
            Ok(entry) => Some(Ok((key.clone(), entry?))),
            Err(error) => Some(Err(error)),
        });
        found.collect()
    }

    async fn upsert(&self, key: &EntryKey, entry: StoredEntry) -> Result<Outcome, StoreError> {
        self.edit(Edit::Upsert(key.clone(), Box::new(entry))).await
    }

    async fn remove(&self, keys: &[EntryKey]) -> Result<(), StoreError> {
        self.edit(Edit::Remove(keys.to_vec())).await.map(|_| ())
    }

    async fn filling(&self) -> Result<Filling, StoreError> {
        let marked = self.shards.annotation(FILLING).await?.is_some();
        Ok(if marked { Filling::UnderWay } else { Filling::Over })
    }

    async fn set_filling(&self, filling: Filling) -> Result<(), StoreError> {
        let value = match filling {
            Filling::UnderWay => Some("true"),
            Filling::Over => None,
        };
        self.shards.annotate(FILLING, value).await
    }

    async fn set_location(&self, key: &EntryKey, location: Option<ImportedLocation>) -> Result<(), StoreError> {
        self.edit(Edit::Locate(key.clone(), location)).await.map(|_| ())
    }
}
