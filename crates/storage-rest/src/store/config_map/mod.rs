//! Entries in a ConfigMap, as the Go bridge keeps them: `binaryData[key]` of `bac-import-model` is a StorageBody as
//! JSON. What a Go bridge left is carried on; whatever else is in the ConfigMap is left alone.
//!
//! A write of the Kubernetes API is dear, so edits of entries that come while one is under way share the next one. Each
//! is answered when its own is durable, and one that can't be done fails alone.

mod object;

use async_trait::async_trait;
use bridge_api::EntryKey;
use kube::Client;

use super::codec::{self, Decoded};
use super::group::Group;
use super::{Filling, ImportedLocation, IndexEntry, Outcome, Store, StoreError, StoredEntry};
use object::{Change, ConfigMapObject, Draft, Snapshot};

pub use object::Retries;

/// The name of the ConfigMap, the Go bridge's.
pub const CONFIG_MAP_NAME: &str = "bac-import-model";

/// The annotation of a ConfigMap that began empty and is being filled.
const FILLING: &str = "modelcatalogbridge.rhdh.io/filling";

/// Keeps entries in the ConfigMap of one namespace.
pub struct ConfigMapStore {
    object: ConfigMapObject,
    edits: Group<Edit, Result<Outcome, StoreError>>,
    reported: std::sync::Mutex<Vec<String>>,
}

/// What is to be done to one entry.
#[derive(Debug, Clone)]
enum Edit {
    Upsert(EntryKey, Box<StoredEntry>),
    Locate(EntryKey, Option<ImportedLocation>),
}

impl Edit {
    fn describe(edits: &[Self]) -> String {
        match edits {
            [Self::Upsert(key, _)] => format!("entry {key}"),
            [Self::Locate(key, _)] => format!("the location of {key}"),
            several => format!("{} entries", several.len()),
        }
    }
}

impl ConfigMapStore {
    /// Opens the ConfigMap in `namespace`, which is created when it is missing.
    pub async fn open(client: Client, namespace: &str, retries: Retries) -> Result<Self, StoreError> {
        let object = ConfigMapObject::new(client, namespace, CONFIG_MAP_NAME, retries);
        object.ensure_exists().await?;
        Ok(Self { object, edits: Group::default(), reported: std::sync::Mutex::default() })
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

    async fn edit(&self, edit: Edit) -> Result<Outcome, StoreError> {
        let done = self.edits.write(edit, |edits| self.edit_all(edits)).await;
        done.unwrap_or_else(|| Err(StoreError::given_up(self.describe())))
    }

    /// Does all edits of a group with one write. When the API finds that too large, each is done alone.
    async fn edit_all(&self, edits: Vec<Edit>) -> Vec<Result<Outcome, StoreError>> {
        match self.write_edits(&edits).await {
            Ok(results) => results,
            Err(StoreError::TooLarge { .. }) if edits.len() > 1 => {
                let mut results = Vec::with_capacity(edits.len());
                for edit in &edits {
                    results.extend(self.write_edits(std::slice::from_ref(edit)).await.unwrap_or_else(|e| vec![Err(e)]));
                }
                results
            }
            Err(error) => edits.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn write_edits(&self, edits: &[Edit]) -> Result<Vec<Result<Outcome, StoreError>>, StoreError> {
        // What an attempt whose answer was lost has done, perhaps: the entry may then be there by our own hand.
        let mut tried: Vec<Option<Outcome>> = vec![None; edits.len()];
        let plan = |draft: &mut Draft| {
            let plan_one = |(edit, tried): (&Edit, &mut Option<Outcome>)| {
                let (outcome, change) = self.plan(draft.state(), edit)?;
                let Some(change) = change else { return Ok(tried.unwrap_or(outcome)) };
                draft.add(change)?;
                *tried = Some(outcome);
                Ok(outcome)
            };
            Ok(edits.iter().zip(&mut tried).map(plan_one).collect())
        };
        self.object.write(&Edit::describe(edits), plan).await
    }

    fn plan(&self, snapshot: &Snapshot, edit: &Edit) -> Result<(Outcome, Option<Change>), StoreError> {
        match edit {
            Edit::Upsert(key, entry) => self.plan_upsert(snapshot, key, entry),
            Edit::Locate(key, location) => self.plan_location(snapshot, key, location.as_ref()),
        }
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

    fn plan_location(
        &self,
        snapshot: &Snapshot,
        key: &EntryKey,
        location: Option<&ImportedLocation>,
    ) -> Result<(Outcome, Option<Change>), StoreError> {
        let Some(bytes) = snapshot.value(key) else { return Ok((Outcome::Unchanged, None)) };
        let mut decoded = self.decode(key, bytes)?;
        if decoded.entry.location.as_ref() == location {
            return Ok((Outcome::Unchanged, None));
        }
        decoded.entry.location = location.cloned();
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
        self.edit(Edit::Upsert(key.clone(), Box::new(entry))).await
    }

    async fn remove(&self, keys: &[EntryKey]) -> Result<(), StoreError> {
        let plan = |draft: &mut Draft| {
            let present: Vec<EntryKey> =
                keys.iter().filter(|key| draft.state().value(key).is_some()).cloned().collect();
            draft.add(Change::remove(present))
        };
        self.object.write(&format!("the removal of {} entries", keys.len()), plan).await
    }

    async fn filling(&self) -> Result<Filling, StoreError> {
        let marked = self.object.annotation(FILLING).await?.is_some();
        Ok(if marked { Filling::UnderWay } else { Filling::Over })
    }

    async fn set_filling(&self, filling: Filling) -> Result<(), StoreError> {
        let value = match filling {
            Filling::UnderWay => Some("true"),
            Filling::Over => None,
        };
        self.object.annotate(FILLING, value).await
    }

    async fn set_location(&self, key: &EntryKey, location: Option<ImportedLocation>) -> Result<(), StoreError> {
        self.edit(Edit::Locate(key.clone(), location)).await.map(|_| ())
    }
}
