//! Entries in a ConfigMap, as the Go bridge keeps them: `binaryData[key]` of `bac-import-model` is a StorageBody as
//! JSON. What a Go bridge left is carried on; whatever else is in the ConfigMap is left alone.

mod object;

use async_trait::async_trait;
use bridge_api::EntryKey;
use kube::Client;

use super::codec::{self, Decoded};
use super::{ImportedLocation, IndexEntry, Outcome, Store, StoreError, StoredEntry};
use object::{Change, ConfigMapObject, Snapshot};

pub use object::Retries;

/// The name of the ConfigMap, the Go bridge's.
pub const CONFIG_MAP_NAME: &str = "bac-import-model";

/// Keeps entries in the ConfigMap of one namespace.
pub struct ConfigMapStore {
    object: ConfigMapObject,
    reported: std::sync::Mutex<Vec<String>>,
}

impl ConfigMapStore {
    /// Opens the ConfigMap in `namespace`, which is created when it is missing.
    pub async fn open(client: Client, namespace: &str, retries: Retries) -> Result<Self, StoreError> {
        let object = ConfigMapObject::new(client, namespace, CONFIG_MAP_NAME, retries);
        object.ensure_exists().await?;
        Ok(Self { object, reported: std::sync::Mutex::default() })
    }

    fn decode(&self, key: &EntryKey, bytes: &[u8]) -> Result<Decoded, StoreError> {
        codec::decode(bytes).map_err(|reason| StoreError::Corrupt { store: self.describe(), key: key.clone(), reason })
    }

    fn encode(&self, key: &EntryKey, decoded: Decoded) -> Result<Vec<u8>, StoreError> {
        codec::encode(decoded.entry, &decoded.foreign).map_err(|error| StoreError::Corrupt {
            store: self.describe(),
            key: key.clone(),
            reason: error.to_string(),
        })
    }

    /// Says once for each state of affairs which values are no entries.
    fn report_corrupt(&self, corrupt: Vec<String>) {
        let mut reported = self.reported.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *reported == corrupt {
            return;
        }
        for problem in &corrupt {
            tracing::warn!("{problem}; it is left alone, and neither listed nor served");
        }
        *reported = corrupt;
    }

    /// The write that makes `snapshot` hold `entry`, or none when it does.
    fn plan_upsert(
        &self,
        snapshot: &Snapshot,
        key: &EntryKey,
        entry: &StoredEntry,
    ) -> Result<(Outcome, Option<Change>), StoreError> {
        let Some(stored) = snapshot.value(key) else {
            let bytes = self.encode(key, Decoded { entry: entry.clone(), foreign: serde_json::Map::new() })?;
            return Ok((Outcome::Created, Some(Change::put(key.clone(), bytes))));
        };
        let decoded = match codec::decode(stored) {
            Ok(Decoded { entry: stored, foreign }) => {
                let identity = stored.identity();
                let entry = entry.clone().over(&identity);
                if entry.identity() == identity {
                    return Ok((Outcome::Unchanged, None));
                }
                Decoded { entry: StoredEntry { location: stored.location, ..entry }, foreign }
            }
            // What can't be read is replaced: the entry is on its way in.
            Err(_) => Decoded { entry: entry.clone(), foreign: serde_json::Map::new() },
        };
        let bytes = self.encode(key, decoded)?;
        Ok((Outcome::Updated, Some(Change::put(key.clone(), bytes))))
    }
}

#[async_trait]
impl Store for ConfigMapStore {
    fn describe(&self) -> String {
        self.object.describe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.object.ping().await
    }

    async fn index(&self) -> Result<Vec<IndexEntry>, StoreError> {
        let snapshot = self.object.read_now().await?;
        let mut entries = Vec::new();
        let mut corrupt = Vec::new();
        for (key, bytes) in snapshot.values() {
            match self.decode(key, bytes) {
                Ok(decoded) => entries.push(IndexEntry::of(key.clone(), &decoded.entry)),
                Err(error) => corrupt.push(error.to_string()),
            }
        }
        self.report_corrupt(corrupt);
        Ok(entries)
    }

    async fn fetch(&self, key: &EntryKey) -> Result<Option<StoredEntry>, StoreError> {
        let snapshot = self.object.read_recent().await?;
        snapshot.value(key).map(|bytes| self.decode(key, bytes)).transpose().map(|found| found.map(|d| d.entry))
    }

    async fn upsert(&self, key: &EntryKey, entry: StoredEntry) -> Result<Outcome, StoreError> {
        let mut written = None;
        let outcome = self
            .object
            .write(&format!("entry {key}"), |snapshot| {
                let (outcome, change) = self.plan_upsert(snapshot, key, &entry)?;
                if change.is_none() {
                    // After an attempt whose answer was lost the entry may be there by our own hand.
                    return Ok((written.unwrap_or(outcome), None));
                }
                written = Some(outcome);
                Ok((outcome, change))
            })
            .await?;
        Ok(outcome)
    }

    async fn remove(&self, keys: &[EntryKey]) -> Result<(), StoreError> {
        let plan = |snapshot: &Snapshot| {
            let present: Vec<EntryKey> = keys.iter().filter(|key| snapshot.value(key).is_some()).cloned().collect();
            Ok(((), (!present.is_empty()).then(|| Change::remove(present))))
        };
        self.object.write(&format!("the removal of {} entries", keys.len()), plan).await
    }

    async fn set_location(&self, key: &EntryKey, location: Option<ImportedLocation>) -> Result<(), StoreError> {
        let plan = |snapshot: &Snapshot| {
            let Some(bytes) = snapshot.value(key) else { return Ok(((), None)) };
            let mut decoded = self.decode(key, bytes)?;
            if decoded.entry.location == location {
                return Ok(((), None));
            }
            decoded.entry.location.clone_from(&location);
            let bytes = self.encode(key, decoded)?;
            Ok(((), Some(Change::put(key.clone(), bytes))))
        };
        self.object.write(&format!("the location of {key}"), plan).await
    }
}
