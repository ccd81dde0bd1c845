//! The ConfigMaps as they are in the cluster: read through a short-lived cache, of which only what has changed is read
//! again, and written one by one, each only if nobody else has changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use super::super::StoreError;
use super::draft::Change;
use super::layout::{CONFIG_MAP_NAME, label_selector, name_of, number_of};
use super::requests::{Failure, Kind, Requests};
use super::retries::Retries;
use super::shard::{Label, Marks, Shard, Snapshot, version_of};

/// How old a cached state may be for reads that need not be the newest. The writes of this process are always seen.
const RECENT: Duration = Duration::from_secs(1);
/// How many ConfigMaps that have changed are read one by one; more are listed.
const READ_ALONE: usize = 4;
/// How many whole ConfigMaps are in one page of a list: a few MiB.
const PAGE: u32 = 16;
/// How much metadata is in one page of a list.
const METADATA_PAGE: u32 = 500;
/// How often a state is looked at anew because it changed while it was looked at.
const ROUNDS: usize = 20;

/// The right to read and write, which one at a time has: no older state ever replaces a newer one in the cache.
pub(super) type Gate<'a> = MutexGuard<'a, ()>;

/// All ConfigMaps of the store.
pub(super) struct Shards {
    requests: Requests,
    pub(super) retries: Retries,
    cached: RwLock<Option<Arc<Snapshot>>>,
    gate: Mutex<()>,
    /// Numbers that were announced, but whose ConfigMaps are gone or are somebody else's.
    given_up: std::sync::Mutex<BTreeMap<u32, GivenUp>>,
    alone: std::sync::Once,
}

/// Why a number that was announced is not looked for again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GivenUp {
    Gone,
    Taken,
}

/// What is asked for by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unlisted {
    First,
    Others,
}

/// What was seen in the cluster, unless it changed meanwhile.
enum Seen {
    Whole(Snapshot),
    Changed,
}

impl Shards {
    pub(super) fn new(client: Client, namespace: &str, retries: Retries) -> Self {
        Self {
            requests: Requests::new(client, namespace, retries.request_timeout),
            retries,
            cached: RwLock::default(),
            gate: Mutex::default(),
            given_up: std::sync::Mutex::default(),
            alone: std::sync::Once::new(),
        }
    }

    pub(super) fn describe(&self) -> String {
        format!("ConfigMap storage {CONFIG_MAP_NAME} in namespace {}", self.requests.namespace())
    }

    pub(super) fn error(&self, failure: &Failure) -> StoreError {
        self.requests.error(self.describe(), failure)
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let asked = self.requests.get_metadata(CONFIG_MAP_NAME).await;
        asked.map(|_| ()).map_err(|failure| self.error(&failure))
    }

    pub(super) async fn lock(&self) -> Gate<'_> {
        self.gate.lock().await
    }

    /// The state at the time of the call, or newer.
    pub(super) async fn read_now(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.read_since(Instant::now()).await
    }

    /// A state that is at most a second older than the call, and that has all writes of this process.
    pub(super) async fn read_recent(&self) -> Result<Arc<Snapshot>, StoreError> {
        self.read_since(recently()).await
    }

    /// A state to plan a write on.
    pub(super) async fn read_for_write(&self, gate: &Gate<'_>) -> Result<Arc<Snapshot>, StoreError> {
        match self.cached_since(recently()) {
            Some(snapshot) => Ok(snapshot),
            None => self.refresh(gate).await,
        }
    }

    async fn read_since(&self, oldest: Instant) -> Result<Arc<Snapshot>, StoreError> {
        if let Some(snapshot) = self.cached_since(oldest) {
            return Ok(snapshot);
        }
        let gate = self.lock().await;
        // Whoever held the gate may have brought what is wanted.
        match self.cached_since(oldest) {
            Some(snapshot) => Ok(snapshot),
            None => self.refresh(&gate).await,
        }
    }

    /// Writes one ConfigMap, if it is as it is in the snapshot or, where it is not in it, if there is none.
    pub(super) async fn submit(&self, _gate: &Gate<'_>, number: u32, change: &Change) -> Result<(), Failure> {
        // What was known of the number, if nothing was there, ends here.
        self.reconsider(number);
        let known = self.cached();
        let base = known.as_ref().and_then(|known| known.shards.get(&number));
        let written = match base {
            Some(base) => self.requests.patch(&name_of(number), &change.as_patch(base)).await,
            None => self.requests.create(&change.as_config_map(number)).await,
        };
        match written {
            Ok(metadata) => {
                let shard = change.over(base.map(AsRef::as_ref), version_of(&metadata.metadata));
                if let Some(known) = &known {
                    self.remember(known.with(number, shard));
                }
                Ok(())
            }
            Err(failure) => {
                // Whatever went wrong, the state is no longer known: the write may even have been done.
                self.forget();
                Err(failure)
            }
        }
    }

    /// An annotation of the first ConfigMap, as it is now.
    pub(super) async fn annotation(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut patience = self.retries.with_failures();
        loop {
            match self.requests.get_metadata(CONFIG_MAP_NAME).await {
                Ok(found) => return Ok(found.and_then(|found| found.metadata.annotations?.remove(name))),
                Err(failure) => patience.wait_after(&failure, self.error(&failure)).await?,
            }
        }
    }

    /// Sets or removes an annotation of the first ConfigMap, whatever others write.
    pub(super) async fn annotate(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        let _gate = self.lock().await;
        let patch = json!({ "metadata": { "annotations": { name: value } } });
        let mut patience = self.retries.with_failures();
        loop {
            let patched = self.requests.patch(CONFIG_MAP_NAME, &patch).await;
            // The version that is known is no longer the newest.
            self.forget();
            match patched {
                Ok(_) => return Ok(()),
                Err(failure) => patience.wait_after(&failure, self.error(&failure)).await?,
            }
        }
    }

    async fn refresh(&self, _gate: &Gate<'_>) -> Result<Arc<Snapshot>, StoreError> {
        let mut patience = self.retries.with_failures();
        let mut rounds = 0;
        loop {
            let seen = match self.cached().filter(|_| rounds < 2) {
                Some(known) => self.look_for_changes(&known).await,
                None => self.look().await,
            };
            match seen {
                Ok(Seen::Whole(snapshot)) => return Ok(self.remember(snapshot)),
                Ok(Seen::Changed) if rounds < ROUNDS => rounds += 1,
                Ok(Seen::Changed) => {
                    let reason = format!("it changed {rounds} times while it was read");
                    return Err(StoreError::Unavailable { store: self.describe(), reason });
                }
                // A list that took too long to read is read again.
                Err(failure) => patience.wait_after(&failure, self.error(&failure)).await?,
            }
        }
    }

    /// Reads everything. A list is of one moment, so that an entry that moves is in it at least once.
    async fn look(&self) -> Result<Seen, Failure> {
        let as_of = Instant::now();
        let listed = match self.requests.list(&label_selector(), PAGE).await {
            Ok(listed) => listed,
            Err(failure) if failure.kind == Kind::Forbidden => return self.look_at_first(as_of, &failure).await,
            Err(failure) => return Err(failure),
        };
        let known = self.cached();
        let known = known.as_ref().map(|known| &known.shards);
        let mut shards = BTreeMap::new();
        for config_map in listed {
            if let Some(number) = number_of(&config_map.name_any()) {
                let known = known.and_then(|known| known.get(&number));
                shards.insert(number, Arc::new(Shard::of(config_map, known.map(AsRef::as_ref))));
            }
        }
        // The first says which others there should be.
        for step in [Unlisted::First, Unlisted::Others] {
            let seen: BTreeSet<u32> = shards.keys().copied().collect();
            let announced = shards.get(&0).map_or(0, |first: &Arc<Shard>| first.marks.shards);
            for number in self.missing(&seen, if step == Unlisted::First { 0 } else { announced }) {
                let Some(config_map) = self.requests.get(&name_of(number)).await? else {
                    self.give_up(number, GivenUp::Gone);
                    continue;
                };
                match self.unlisted(number, &config_map.metadata) {
                    Label::There => return Ok(Seen::Changed),
                    Label::Never if number > 0 => {}
                    Label::Lost | Label::Never => {
                        let known = known.and_then(|known| known.get(&number));
                        shards.insert(number, Arc::new(Shard::of(config_map, known.map(AsRef::as_ref))));
                    }
                }
            }
        }
        Ok(Seen::Whole(Snapshot::new(shards, self.taken(), as_of)))
    }

    /// Reads what has changed since `known`.
    async fn look_for_changes(&self, known: &Snapshot) -> Result<Seen, Failure> {
        let as_of = Instant::now();
        let listed = match self.requests.list_metadata(&label_selector(), METADATA_PAGE).await {
            Ok(listed) => listed,
            Err(failure) if failure.kind == Kind::Forbidden => return self.look_at_first(as_of, &failure).await,
            Err(failure) => return Err(failure),
        };
        let mut versions: BTreeMap<u32, String> = listed
            .iter()
            .filter_map(|found| Some((number_of(found.metadata.name.as_deref()?)?, version_of(&found.metadata))))
            .collect();
        let seen: BTreeSet<u32> = versions.keys().copied().collect();
        let mut announced = known.announced();
        for found in &listed {
            announced = announced.max(Marks::of(&found.metadata).shards);
        }
        let mut missing = self.missing(&seen, announced);
        missing.extend(known.shards.keys().filter(|number| !seen.contains(number)));
        for number in missing {
            let Some(found) = self.requests.get_metadata(&name_of(number)).await? else {
                self.give_up(number, GivenUp::Gone);
                continue;
            };
            match self.unlisted(number, &found.metadata) {
                Label::There => return Ok(Seen::Changed),
                Label::Never if number > 0 => {}
                Label::Lost | Label::Never => {
                    versions.insert(number, version_of(&found.metadata));
                }
            }
        }
        self.read_changed(known, &versions, as_of).await
    }

    async fn read_changed(
        &self,
        known: &Snapshot,
        versions: &BTreeMap<u32, String>,
        as_of: Instant,
    ) -> Result<Seen, Failure> {
        let same = |number: &u32, version: &String| {
            known.shards.get(number).filter(|shard| shard.version == *version).map(Arc::clone)
        };
        if versions.iter().filter(|(number, version)| same(number, version).is_none()).count() > READ_ALONE {
            return self.look().await;
        }
        let mut shards = BTreeMap::new();
        for (number, version) in versions {
            let shard = match same(number, version) {
                Some(shard) => shard,
                None => {
                    let Some(config_map) = self.requests.get(&name_of(*number)).await? else {
                        return Ok(Seen::Changed);
                    };
                    let before = known.shards.get(number).map(AsRef::as_ref);
                    Arc::new(Shard::of(config_map, before))
                }
            };
            // A newer one goes with newer ones of the others only: an entry may have moved.
            if shard.version != *version {
                return Ok(Seen::Changed);
            }
            shards.insert(*number, shard);
        }
        Ok(Seen::Whole(Snapshot::new(shards, self.taken(), as_of)))
    }

    /// Reads the first ConfigMap, where listing them is forbidden. That is enough while there is no other.
    async fn look_at_first(&self, as_of: Instant, forbidden: &Failure) -> Result<Seen, Failure> {
        let first: Option<ConfigMap> = self.requests.get(CONFIG_MAP_NAME).await?;
        let known = self.cached();
        let known = known.as_ref().and_then(|known| known.shards.get(&0));
        let first = first.map(|first| Arc::new(Shard::of(first, known.map(AsRef::as_ref))));
        if first.as_ref().is_some_and(|first| first.marks.shards > 0) {
            return Err(forbidden.clone());
        }
        self.alone.call_once(|| {
            tracing::warn!(
                reason = forbidden.reason,
                "the bridge may not list configmaps in namespace {}: entries are kept in one ConfigMap alone",
                self.requests.namespace()
            );
        });
        let shards = first.map(|first| (0, first)).into_iter().collect();
        let alone = Some(self.error(forbidden));
        Ok(Seen::Whole(Snapshot { alone, ..Snapshot::new(shards, self.taken(), as_of) }))
    }

    /// The numbers that should be there, but were not listed.
    fn missing(&self, seen: &BTreeSet<u32>, announced: u32) -> BTreeSet<u32> {
        // Nobody needs as many, and whoever writes such a number wants them to be asked for one by one.
        const MOST: u32 = 200;
        let given_up = self.given_up();
        (0..=announced.min(MOST))
            .filter(|number| !seen.contains(number) && (*number == 0 || !given_up.contains_key(number)))
            .collect()
    }

    /// How a ConfigMap is marked that was not listed.
    fn unlisted(&self, number: u32, metadata: &ObjectMeta) -> Label {
        let label = Marks::of(metadata).label;
        if label == Label::Never && number > 0 {
            tracing::warn!("the ConfigMap {} is not the bridge's, and is left alone", name_of(number));
            self.give_up(number, GivenUp::Taken);
        }
        label
    }

    fn give_up(&self, number: u32, why: GivenUp) {
        if number > 0 {
            self.given_up().insert(number, why);
        }
    }

    /// Looks for a number again.
    fn reconsider(&self, number: u32) {
        self.given_up().remove(&number);
    }

    fn taken(&self) -> BTreeSet<u32> {
        self.given_up().iter().filter(|(_, why)| **why == GivenUp::Taken).map(|(number, _)| *number).collect()
    }

    fn given_up(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, GivenUp>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cached(&self) -> Option<Arc<Snapshot>> {
        self.cached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn cached_since(&self, oldest: Instant) -> Option<Arc<Snapshot>> {
        self.cached().filter(|snapshot| snapshot.as_of.is_some_and(|as_of| as_of >= oldest))
    }

    fn remember(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// What is known may be outdated; what has not changed need not be read again all the same.
    pub(super) fn forget(&self) {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cached.take() {
            *cached = Some(Arc::new(Snapshot { as_of: None, ..Snapshot::clone(&known) }));
        }
    }
}

fn recently() -> Instant {
    let now = Instant::now();
    now.checked_sub(RECENT).unwrap_or(now)
}
