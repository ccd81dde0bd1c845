//! Brings the catalog in line with storage: once completely at the start, and at an interval from then on, which heals
//! whatever pushes missed.
//!
//! Only a list that storage answered in full says what is gone. With a storage of ours only what differs is fetched, many
//! entries with each request; a Go storage names no digests and gives one entry at a time, so everything is fetched one
//! by one.

mod fetch;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bridge_api::{ClientError, Digest, EntryKey, KeyList, StorageClient};
use model_catalog::render::Format;
use service::{Readiness, Shutdown};
use thiserror::Error;
use tokio::task::JoinError;

use crate::catalog::{Applied, Load, ServedCatalog};
use crate::metrics::{LoadCounters, LoadOutcome};
use crate::snapshot::{Completeness, Entry};
use fetch::{Checked, Fetched, Peer, Source};

const FILLING: Duration = Duration::from_millis(500);
const MIN_RETRY: Duration = Duration::from_millis(200);
const MAX_RETRY: Duration = Duration::from_secs(10);

/// The catalog could not be brought in line with storage.
#[derive(Debug, Error)]
pub enum SyncError {
    /// There is no list to compare with.
    #[error("the entries of storage cannot be listed: {0}")]
    List(#[source] ClientError),
    /// Some of the entries are missing.
    #[error("{failed} of {wanted} entries could not be fetched from storage, the first is {key}: {source}")]
    Fetch {
        /// How many failed.
        failed: usize,
        /// How many there were to fetch.
        wanted: usize,
        /// The first that failed.
        key: EntryKey,
        /// Why.
        source: ClientError,
    },
    /// What it has read is lost.
    #[error("the reading of storage broke off: {0}")]
    Interrupted(#[from] JoinError),
    /// To take what is there for the whole would tell Backstage to delete the rest.
    #[error("storage began with nothing and is being filled ({listed} entries so far): no complete list yet")]
    BeingFilled {
        /// How many entries there are.
        listed: usize,
    },
    /// To serve an empty list in their place would tell Backstage to delete everything.
    #[error(
        "storage holds {listed} entries and none of them is a document in {format}: NORMALIZER_FORMAT must be the same for \
         normalizer, storage-rest and location"
    )]
    NothingServable {
        /// How many entries there are.
        listed: usize,
        /// The format of this service.
        format: Format,
    },
}

impl SyncError {
    fn outcome(&self) -> LoadOutcome {
        match self {
            Self::List(_) => LoadOutcome::Unreachable,
            Self::Fetch { .. } | Self::Interrupted(_) | Self::BeingFilled { .. } => LoadOutcome::Partial,
            Self::NothingServable { .. } => LoadOutcome::NothingServable,
        }
    }
}

/// Compares the catalog with storage again and again.
#[derive(Debug)]
pub struct Synchronizer {
    source: Source,
    catalog: Arc<ServedCatalog>,
    readiness: Readiness,
    loads: LoadCounters,
    /// What storage holds and cannot be served, with the digest of what was found when it was complained about.
    unservable: HashMap<EntryKey, Digest>,
    /// What storage lists and is no key.
    strange_keys: HashSet<String>,
}

/// What a list asks for.
struct Plan {
    peer: Peer,
    listed: usize,
    present: HashSet<EntryKey>,
    wanted: Vec<EntryKey>,
}

impl Synchronizer {
    /// Loads `catalog` from `storage` and says so in `readiness`.
    pub fn new(storage: StorageClient, catalog: Arc<ServedCatalog>, readiness: Readiness, loads: LoadCounters) -> Self {
        let (unservable, strange_keys) = (HashMap::new(), HashSet::new());
        let source = Source { storage, format: catalog.format() };
        Self { source, catalog, readiness, loads, unservable, strange_keys }
    }

    /// Synchronizes until `shutdown`: at each `interval`, or sooner after a failure.
    pub async fn run(mut self, interval: Duration, shutdown: Shutdown) {
        let mut retries = retries();
        while let Some(result) = shutdown.unless(self.synchronize()).await {
            let pause = match result {
                Ok(applied) => {
                    self.report(applied);
                    retries = self::retries();
                    interval
                }
                Err(error) => {
                    self.loads.count(error.outcome());
                    let pause = Self::pause_after(&error, &mut retries).min(interval);
                    self.explain(&error);
                    pause
                }
            };
            if shutdown.unless(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Waiting for storage to be filled is no failure, and is over soon.
    fn pause_after(error: &SyncError, retries: &mut impl Iterator<Item = Duration>) -> Duration {
        if matches!(error, SyncError::BeingFilled { .. }) {
            tracing::debug!("{error}");
            return FILLING;
        }
        let pause = retries.next().unwrap_or(MAX_RETRY);
        tracing::warn!(next_try_in = ?pause, "{error}");
        pause
    }

    fn report(&self, applied: Applied) {
        self.loads.count(LoadOutcome::Complete);
        let entries = self.catalog.current().entries();
        let Applied { changed, removed } = applied;
        if !self.readiness.is_ready() {
            self.readiness.set_ready();
            tracing::info!(entries, "loaded from storage: serving");
        } else if applied == Applied::default() {
            tracing::debug!(entries, "in line with storage");
        } else {
            tracing::info!(entries, changed, removed, "brought in line with storage");
        }
    }

    /// What was loaded once is served on; before that, readers are told what is missing.
    fn explain(&self, error: &SyncError) {
        if self.catalog.current().completeness() == Completeness::Loading {
            self.readiness.set_not_ready(error.to_string());
        }
    }

    /// One comparison. What could be fetched is applied even when something else could not.
    pub async fn synchronize(&mut self) -> Result<Applied, SyncError> {
        self.catalog.begin_load();
        let list = self.source.storage.list_digests().await.map_err(SyncError::List)?;
        // Only our storage says so; of a Go storage the list must do.
        let being_filled = list.settled == Some(false);
        let Plan { peer, listed, mut present, wanted } = self.plan(list);
        let total = wanted.len();
        let Fetched { found, failed } = self.source.fetch(peer, wanted).await?;
        let changed = self.servable(found);
        present.retain(|key| !self.unservable.contains_key(key));
        if listed > 0 && present.is_empty() {
            return Err(SyncError::NothingServable { listed, format: self.catalog.format() });
        }
        if being_filled {
            // What was served before storage lost everything is not gone until storage knows again what there is.
            present.extend(self.catalog.snapshot().keys().cloned());
        }
        let complete = failed.is_empty() && !being_filled;
        let completeness = if complete { Completeness::Loaded } else { Completeness::Loading };
        let applied = self.catalog.finish_load(Load { changed, present, completeness });
        let count = failed.len();
        match failed.into_iter().next() {
            None if being_filled => Err(SyncError::BeingFilled { listed }),
            None => Ok(applied),
            Some((key, source)) => Err(SyncError::Fetch { failed: count, wanted: total, key, source }),
        }
    }

    /// Finds what differs from what is served.
    fn plan(&mut self, list: KeyList) -> Plan {
        let peer = if list.entries.is_some() { Peer::Ours } else { Peer::Go };
        let digests: HashMap<String, Digest> =
            list.entries.unwrap_or_default().into_iter().map(|entry| (entry.key, entry.digest)).collect();
        let names: HashSet<&String> = list.keys.iter().chain(digests.keys()).collect();
        let listed = names.len();
        self.strange_keys.retain(|name| names.contains(name));
        let snapshot = self.catalog.snapshot();
        let mut present = HashSet::with_capacity(listed);
        let mut wanted = Vec::new();
        for name in names {
            let key: EntryKey = match name.parse() {
                Ok(key) => key,
                Err(error) => {
                    if self.strange_keys.insert(name.clone()) {
                        tracing::warn!("an entry of storage is not served: {error}");
                    }
                    continue;
                }
            };
            let known = self.unservable.get(&key).or_else(|| snapshot.entry(&key).map(|entry| entry.digest()));
            if known.is_none() || known != digests.get(name) {
                wanted.push(key.clone());
            }
            present.insert(key);
        }
        self.unservable.retain(|key, _| present.contains(key));
        Plan { peer, listed, present, wanted }
    }

    /// Keeps what can be served, and says of the rest, once, why it is not.
    fn servable(&mut self, found: Vec<(EntryKey, Checked)>) -> Vec<(EntryKey, Entry)> {
        let mut servable = Vec::with_capacity(found.len());
        for (key, checked) in found {
            match checked {
                Ok(entry) => {
                    self.unservable.remove(&key);
                    servable.push((key, entry));
                }
                Err((error, digest)) => {
                    if self.unservable.insert(key.clone(), digest.clone()) != Some(digest) {
                        tracing::warn!(%key, "an entry of storage is not served: {error}");
                    }
                }
            }
        }
        servable
    }
}

fn retries() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(MIN_RETRY)
        .with_max_delay(MAX_RETRY)
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}
