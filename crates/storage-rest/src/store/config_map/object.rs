//! One ConfigMap as a map of keys to bytes: read through a short-lived cache, written by merge patches that touch only
//! their own keys and that fail, and are planned again, when anyone else has written in between.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge_api::EntryKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::Status;
use serde_json::{Map, Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::super::StoreError;

/// What the Kubernetes API lets the values of a ConfigMap sum up to.
const LIMIT: usize = 1024 * 1024;
/// How old a cached state may be for reads that need not be the newest. The writes of this process are always seen.
const RECENT: Duration = Duration::from_secs(1);
/// How long one request to the Kubernetes API may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Who wrote, for `managedFields`.
const FIELD_MANAGER: &str = "storage-rest";

/// How often a request to the Kubernetes API is tried, and how long the waits are.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// Attempts in all, for an API that is not well.
    pub attempts: usize,
    /// Attempts in all, while others keep writing: the API is well, so it is worth more patience than a failure.
    pub conflict_attempts: usize,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 4,
            conflict_attempts: 20,
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(1),
        }
    }
}

/// The waits that are left.
struct Patience {
    waits: ExponentialBackoff,
}

impl Patience {
    /// Waits before the next attempt, or gives the error back when there is to be none.
    async fn wait_after(&mut self, error: StoreError) -> Result<(), StoreError> {
        match self.waits.next() {
            Some(wait) if error.is_retryable() => {
                tracing::debug!(%error, retry_in = ?wait, "trying again");
                tokio::time::sleep(wait).await;
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// Keys and values of the ConfigMap at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// `None`: there is no such ConfigMap.
    version: Option<String>,
    values: BTreeMap<EntryKey, Arc<[u8]>>,
    /// The size of what is in the ConfigMap besides.
    other_bytes: usize,
    /// No older than this.
    as_of: Instant,
}

impl Snapshot {
    fn of(config_map: Option<ConfigMap>, as_of: Instant) -> Self {
        let mut snapshot = Self { version: None, values: BTreeMap::new(), other_bytes: 0, as_of };
        let Some(config_map) = config_map else { return snapshot };
        snapshot.version = config_map.metadata.resource_version;
        snapshot.other_bytes = config_map.data.unwrap_or_default().values().map(String::len).sum();
        for (key, ByteString(bytes)) in config_map.binary_data.unwrap_or_default() {
            match key.parse::<EntryKey>() {
                Ok(key) => {
                    snapshot.values.insert(key, bytes.into());
                }
                Err(_) => snapshot.other_bytes += bytes.len(),
            }
        }
        snapshot
    }

    pub(super) fn value(&self, key: &EntryKey) -> Option<&[u8]> {
        self.values.get(key).map(AsRef::as_ref)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = (&EntryKey, &[u8])> {
        self.values.iter().map(|(key, bytes)| (key, bytes.as_ref()))
    }

    fn size(&self) -> usize {
        self.other_bytes + self.values.values().map(|bytes| bytes.len()).sum::<usize>()
    }
}

/// A change in the making, and the state that it will lead to.
pub(super) struct Draft {
    state: Snapshot,
    size: usize,
    change: Change,
    store: String,
}

impl Draft {
    fn of(snapshot: &Snapshot, store: String) -> Self {
        Self { state: snapshot.clone(), size: snapshot.size(), change: Change::default(), store }
    }

    /// What the ConfigMap will hold.
    pub(super) fn state(&self) -> &Snapshot {
        &self.state
    }

    /// Makes a change part of it, unless the ConfigMap has no room for that. What makes it smaller is always taken.
    pub(super) fn add(&mut self, change: Change) -> Result<(), StoreError> {
        let size_of = |value: Option<&Arc<[u8]>>| value.map_or(0, |bytes| bytes.len());
        let replaced: usize = change.values.keys().map(|key| size_of(self.state.values.get(key))).sum();
        let added: usize = change.values.values().map(|value| size_of(value.as_ref())).sum();
        if self.size - replaced + added > LIMIT
            && added > replaced
            && let Some(error) = change.too_large(&self.store)
        {
            return Err(error);
        }
        self.size = self.size - replaced + added;
        for (key, value) in change.values {
            match &value {
                Some(bytes) => self.state.values.insert(key.clone(), Arc::clone(bytes)),
                None => self.state.values.remove(&key),
            };
            self.change.values.insert(key, value);
        }
        Ok(())
    }
}

/// What to put under which key; `None` removes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    values: BTreeMap<EntryKey, Option<Arc<[u8]>>>,
}

impl Change {
    pub(super) fn put(key: EntryKey, bytes: Vec<u8>) -> Self {
        Self { values: BTreeMap::from([(key, Some(bytes.into()))]) }
    }

    pub(super) fn remove(keys: Vec<EntryKey>) -> Self {
        Self { values: keys.into_iter().map(|key| (key, None)).collect() }
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn too_large(&self, store: &str) -> Option<StoreError> {
        let puts = self.values.iter().filter_map(|(key, value)| Some((key, value.as_ref()?.len())));
        let (key, size) = puts.max_by_key(|(_, size)| *size)?;
        Some(StoreError::TooLarge { store: store.to_owned(), key: key.clone(), size, limit: LIMIT })
    }

    fn as_json(&self) -> Value {
        let encoded = |value: &Option<Arc<[u8]>>| match value {
            Some(bytes) => Value::String(STANDARD.encode(bytes)),
            None => Value::Null,
        };
        let fields: Map<String, Value> =
            self.values.iter().map(|(key, value)| (key.to_string(), encoded(value))).collect();
        Value::Object(fields)
    }

    fn as_binary_data(&self) -> BTreeMap<String, ByteString> {
        let puts =
            self.values.iter().filter_map(|(key, value)| Some((key.to_string(), ByteString(value.as_ref()?.to_vec()))));
        puts.collect()
    }
}

/// One ConfigMap.
pub(super) struct ConfigMapObject {
    api: Api<ConfigMap>,
    name: String,
    namespace: String,
    retries: Retries,
    cached: RwLock<Option<Arc<Snapshot>>>,
    /// Held while the ConfigMap is read or written, so that no older state ever replaces a newer one in the cache.
    gate: Mutex<()>,
}

impl ConfigMapObject {
    pub(super) fn new(client: Client, namespace: &str, name: &str, retries: Retries) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            retries,
            cached: RwLock::default(),
            gate: Mutex::default(),
        }
    }

    pub(super) fn describe(&self) -> String {
        format!("the ConfigMap {} in namespace {}", self.name, self.namespace)
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let asked = bounded(self.api.get_metadata_opt(&self.name)).await;
        asked.map(|_| ()).map_err(|error| self.failure("get", &error))
    }

    pub(super) async fn ensure_exists(&self) -> Result<(), StoreError> {
        let snapshot = self.read_now().await?;
        if snapshot.version.is_some() {
            return Ok(());
        }
        let _gate = self.gate.lock().await;
        let mut patience = self.patience(self.retries.attempts);
        loop {
            match self.create(Draft::of(&snapshot, self.describe())).await {
                Ok(()) => {
                    tracing::info!("created {}", self.describe());
                    return Ok(());
                }
                // Someone else was quicker, which is as good.
                Err(kube::Error::Api(status)) if is_conflict(&status) => return Ok(()),
                Err(error) => patience.wait_after(self.failure("create", &error)).await?,
            }
        }
    }

    /// The state at the time of the call, or newer.
    pub(super) async fn read_now(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.read_since(Instant::now()).await
    }

    /// A state that is at most a second older than the call, and that has all writes of this process.
    pub(super) async fn read_recent(&self) -> Result<Arc<Snapshot>, StoreError> {
        let now = Instant::now();
        self.read_since(now.checked_sub(RECENT).unwrap_or(now)).await
    }

    /// Plans a change on a state and writes it, again and again until nobody else has changed that state in between.
    pub(super) async fn write<T>(
        &self,
        what: &str,
        mut plan: impl FnMut(&mut Draft) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let gate = self.gate.lock().await;
        let mut failures = self.patience(self.retries.attempts);
        let mut conflicts = self.patience(self.retries.conflict_attempts);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let snapshot = self.snapshot_for_write(&gate).await?;
            let mut draft = Draft::of(&snapshot, self.describe());
            let result = plan(&mut draft)?;
            if draft.change.is_empty() {
                return Ok(result);
            }
            let too_large = draft.change.too_large(&draft.store);
            let error = match self.submit(draft).await {
                Ok(()) => return Ok(result),
                Err(error) => error,
            };
            // Whatever went wrong, the state is no longer known: the write may even have been done.
            self.forget();
            match error {
                kube::Error::Api(status) if is_conflict(&status) || status.code == 404 => {
                    let (store, what) = (self.describe(), what.to_owned());
                    conflicts.wait_after(StoreError::Conflict { store, what, attempts }).await?;
                }
                kube::Error::Api(status) if is_too_large(&status) => {
                    return Err(too_large.unwrap_or_else(|| self.refused("patch", &status)));
                }
                other => failures.wait_after(self.failure("patch", &other)).await?,
            }
        }
    }

    /// An annotation of the ConfigMap, as it is now.
    pub(super) async fn annotation(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut patience = self.patience(self.retries.attempts);
        loop {
            match bounded(self.api.get_metadata_opt(&self.name)).await {
                Ok(found) => return Ok(found.and_then(|found| found.metadata.annotations?.remove(name))),
                Err(error) => patience.wait_after(self.failure("get", &error)).await?,
            }
        }
    }

    /// Sets or removes an annotation, whatever others write.
    pub(super) async fn annotate(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        let _gate = self.gate.lock().await;
        let patch = json!({ "metadata": { "annotations": { name: value } } });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let mut patience = self.patience(self.retries.attempts);
        loop {
            let patched = bounded(self.api.patch_metadata(&self.name, &params, &Patch::Merge(&patch))).await;
            // The version that is known is no longer the newest.
            self.forget();
            match patched {
                Ok(_) => return Ok(()),
                Err(error) => patience.wait_after(self.failure("patch", &error)).await?,
            }
        }
    }

    async fn snapshot_for_write(&self, gate: &MutexGuard<'_, ()>) -> Result<Arc<Snapshot>, StoreError> {
        let now = Instant::now();
        match self.cached_since(now.checked_sub(RECENT).unwrap_or(now)) {
            Some(snapshot) => Ok(snapshot),
            None => self.read(gate).await,
        }
    }

    async fn read_since(&self, oldest: Instant) -> Result<Arc<Snapshot>, StoreError> {
        if let Some(snapshot) = self.cached_since(oldest) {
            return Ok(snapshot);
        }
        let gate = self.gate.lock().await;
        // Whoever held the gate may have brought what is wanted.
        match self.cached_since(oldest) {
            Some(snapshot) => Ok(snapshot),
            None => self.read(&gate).await,
        }
    }

    async fn read(&self, _gate: &MutexGuard<'_, ()>) -> Result<Arc<Snapshot>, StoreError> {
        let mut patience = self.patience(self.retries.attempts);
        loop {
            let as_of = Instant::now();
            match bounded(self.api.get_opt(&self.name)).await {
                Ok(found) => return Ok(self.remember(Snapshot::of(found, as_of))),
                Err(error) => patience.wait_after(self.failure("get", &error)).await?,
            }
        }
    }

    fn patience(&self, attempts: usize) -> Patience {
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.retries.first_wait)
            .with_max_delay(self.retries.longest_wait)
            .with_max_times(attempts.saturating_sub(1))
            .with_jitter()
            .build();
        Patience { waits }
    }

    async fn submit(&self, draft: Draft) -> Result<(), kube::Error> {
        let Some(version) = &draft.state.version else { return self.create(draft).await };
        let patch = json!({ "metadata": { "resourceVersion": version }, "binaryData": draft.change.as_json() });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let as_of = Instant::now();
        let written = bounded(self.api.patch_metadata(&self.name, &params, &Patch::Merge(&patch))).await?;
        self.remember(Snapshot { version: written.metadata.resource_version, as_of, ..draft.state });
        Ok(())
    }

    async fn create(&self, draft: Draft) -> Result<(), kube::Error> {
        let labels = BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "model-catalog-bridge".to_owned())]);
        let config_map = ConfigMap {
            metadata: ObjectMeta { name: Some(self.name.clone()), labels: Some(labels), ..ObjectMeta::default() },
            binary_data: Some(draft.change.as_binary_data()).filter(|data| !data.is_empty()),
            ..ConfigMap::default()
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let as_of = Instant::now();
        let written = bounded(self.api.create(&params, &config_map)).await?;
        self.remember(Snapshot { version: written.metadata.resource_version, as_of, ..draft.state });
        Ok(())
    }

    fn failure(&self, verb: &'static str, error: &kube::Error) -> StoreError {
        match error {
            kube::Error::Api(status) => self.refused(verb, status),
            other => StoreError::Unavailable { store: self.describe(), reason: other.to_string() },
        }
    }

    fn refused(&self, verb: &'static str, status: &Status) -> StoreError {
        let reason = format!("{} ({})", status.message, status.code);
        match status.code {
            401 | 403 => StoreError::Permission {
                store: self.describe(),
                verb,
                resource: format!("configmaps in namespace {}", self.namespace),
                reason,
            },
            _ => StoreError::Unavailable { store: self.describe(), reason },
        }
    }

    fn cached_since(&self, oldest: Instant) -> Option<Arc<Snapshot>> {
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner);
        cached.as_ref().filter(|snapshot| snapshot.as_of >= oldest).map(Arc::clone)
    }

    fn remember(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&snapshot));
        snapshot
    }

    fn forget(&self) {
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The client itself waits as long as a watch may be silent.
async fn bounded<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    tokio::time::timeout(REQUEST_TIMEOUT, request).await.unwrap_or_else(|_| {
        let message = format!("no answer from the Kubernetes API within {} s", REQUEST_TIMEOUT.as_secs());
        Err(kube::Error::Service(message.into()))
    })
}

fn is_conflict(status: &Status) -> bool {
    status.code == 409
}

fn is_too_large(status: &Status) -> bool {
    status.code == 413 || (status.code == 422 && status.message.contains("Too long"))
}
