//! Observing: registries are polled and clusters watched, each by a task of its own, so that none delays another.
//!
//! The tasks put what they see on one [`Board`], which remembers per source what was last known and how well, and tells
//! the engine that something changed.

pub mod cards;
pub mod cluster;
pub mod increment;
pub mod manifests;
mod named;
mod news;
pub mod reader;
pub mod registry;
pub mod served_apis;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ::cluster::watch::ClusterSnapshot;
use jiff::Timestamp;
use serde::Serialize;
use service::telemetry::Cause;
use tokio::sync::watch;

use crate::inventory::{Inventory, RegistryContents, ServedApi, SourceId, Unread};
use crate::labels::NamedVersion;
use crate::project::Questions;
use named::Named;

/// How long a storage that was never filled waits for sources that cannot be read.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of all sources, shared by the observers and the engine.
#[derive(Debug, Clone, Default)]
pub struct Board {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    version: watch::Sender<u64>,
    questions: watch::Sender<Arc<Questions>>,
    awaited: watch::Sender<u64>,
    named: watch::Sender<u64>,
    /// When somebody first looked at the board.
    began: OnceLock<Instant>,
}

#[derive(Debug, Default)]
struct State {
    registries: BTreeMap<SourceId, Source<RegistryContents>>,
    clusters: BTreeMap<SourceId, Source<ClusterSnapshot>>,
    /// Why it is not yet known which sources there are.
    undiscovered: BTreeMap<String, Unread>,
    /// Sources of which a complete read is waited for.
    awaited: BTreeSet<SourceId>,
    /// What labels of services name.
    named: Named,
    /// What served APIs answered.
    served_apis: Arc<BTreeMap<String, ServedApi>>,
}

impl State {
    /// Versions that labels name, that no registry has as far as is known, and that this one may have got since it was
    /// read.
    fn unread_versions(&self, registry: &SourceId) -> impl Iterator<Item = &NamedVersion> {
        let known = self.registries.values().filter_map(|source| source.contents.as_deref());
        self.named.unread(registry).filter(move |named| !known.clone().any(|contents| contents.named(named).is_some()))
    }
}

/// How a registry was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// All of it: what is missing is gone.
    Complete,
    /// What is new.
    Increment,
}

impl Read {
    /// Its name, in metrics and traces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Increment => "increment",
        }
    }
}

#[derive(Debug)]
struct Source<T> {
    contents: Option<Arc<T>>,
    status: SourceStatus,
    /// The read that last brought something.
    cause: Cause,
}

impl<T> Source<T> {
    fn was_tried(&self) -> bool {
        self.contents.is_some() || self.status.failure.is_some()
    }
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self { contents: None, status: SourceStatus::default(), cause: Cause::default() }
    }
}

/// How well a source is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// When it was last read, completely or for what is new.
    pub last_read: Option<Timestamp>,
    /// When it was last read completely.
    pub last_complete_read: Option<Timestamp>,
    /// How often it was read completely since the start.
    pub complete_reads: u64,
    /// How many records it holds: registered models and versions, or services.
    pub records: usize,
    /// Why the last attempt failed; what is known is then older than it should be.
    pub failure: Option<String>,
}

/// What the engine sees of the board at one moment.
#[derive(Debug, Clone)]
pub struct Observed {
    /// What is known.
    pub inventory: Inventory,
    /// Sources that were never read since the start.
    pub unread: BTreeSet<SourceId>,
    /// Sources that are configured or were discovered.
    pub known: BTreeSet<SourceId>,
    /// Whether it is known which sources there are.
    pub discovered: bool,
    /// How often each source was read completely since the start.
    pub complete_reads: BTreeMap<SourceId, u64>,
    /// When each source was last read that was.
    pub last_reads: BTreeMap<SourceId, Timestamp>,
    /// Of each registry the read that last brought something, as far as it is traced.
    pub causes: BTreeMap<SourceId, Cause>,
    /// Whether what is not known was tried for long enough that nobody should wait for it any more.
    pub patience_is_over: bool,
    /// Sources that are not known any more, and whose entries may go.
    pub given_up: BTreeSet<String>,
}

impl Observed {
    /// Whether every source was read, and none is left to be found.
    pub fn is_complete(&self) -> bool {
        self.discovered && self.unread.is_empty()
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.shared.version.send_modify(|version| *version += 1);
    }

    /// A counter that moves whenever [`Board::observed`] would differ.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    /// What is known now.
    pub fn observed(&self) -> Observed {
        let state = self.state();
        let mut inventory = Inventory { served_apis: Arc::clone(&state.served_apis), ..Inventory::default() };
        let mut unread = BTreeSet::new();
        for (id, source) in &state.registries {
            match &source.contents {
                Some(contents) => {
                    inventory.registries.insert(id.clone(), Arc::clone(contents));
                    inventory.unread_versions.extend(state.unread_versions(id).cloned());
                }
                None => drop(unread.insert(id.clone())),
            }
        }
        for (id, source) in &state.clusters {
            match &source.contents {
                Some(contents) => drop(inventory.clusters.insert(id.clone(), Arc::clone(contents))),
                None => drop(unread.insert(id.clone())),
            }
        }
        let attempts = state
            .registries
            .values()
            .filter(|source| source.contents.is_none())
            .map(|source| if source.status.failure.is_some() { Unread::Failed } else { Unread::Pending });
        inventory.unread_registries = attempts.chain(state.undiscovered.values().copied()).max().unwrap_or_default();
        let known = state.registries.keys().chain(state.clusters.keys()).cloned().collect();
        let registries = state.registries.iter().map(|(id, source)| (id.clone(), source.status.complete_reads));
        let clusters = state.clusters.iter().map(|(id, source)| (id.clone(), source.status.complete_reads));
        let complete_reads = registries.chain(clusters).collect();
        let registries = state.registries.iter().map(|(id, source)| (id, source.status.last_read));
        let clusters = state.clusters.iter().map(|(id, source)| (id, source.status.last_read));
        let last_reads = registries.chain(clusters).filter_map(|(id, read)| Some((id.clone(), read?))).collect();
        let traced = state.registries.iter().filter(|(_, source)| source.cause.is_known());
        let causes = traced.map(|(id, source)| (id.clone(), source.cause.clone())).collect();
        let discovered = state.undiscovered.is_empty();
        let tried = state.registries.values().all(Source::was_tried)
            && state.clusters.values().all(Source::was_tried)
            && !state.undiscovered.values().any(|unread| *unread == Unread::Pending);
        let patience_is_over = tried && self.shared.began.get_or_init(Instant::now).elapsed() >= PATIENCE;
        Observed {
            inventory,
            unread,
            known,
            discovered,
            complete_reads,
            last_reads,
            causes,
            patience_is_over,
            given_up: BTreeSet::new(),
        }
    }

    /// How well each source is known.
    pub fn statuses(&self) -> BTreeMap<SourceId, SourceStatus> {
        let state = self.state();
        let registries = state.registries.iter().map(|(id, source)| (id.clone(), source.status.clone()));
        registries.chain(state.clusters.iter().map(|(id, source)| (id.clone(), source.status.clone()))).collect()
    }

    /// The same, for those who want to know how old what is known is: a cluster whose watches stand is known as of now.
    pub fn freshness(&self) -> BTreeMap<SourceId, SourceStatus> {
        let now = Timestamp::now();
        let mut statuses = self.statuses();
        for (id, source) in &self.state().clusters {
            if source.contents.is_some()
                && source.status.failure.is_none()
                && let Some(status) = statuses.get_mut(id)
            {
                status.last_read = Some(now);
                status.last_complete_read = Some(now);
            }
        }
        statuses
    }

    /// Says that `what` may still bring sources that are not on the board, and whether that was tried.
    pub fn discovering(&self, what: &str, unread: Unread) {
        if self.state().undiscovered.insert(what.to_owned(), unread) != Some(unread) {
            self.changed();
        }
    }

    /// Says that all sources of `what` are on the board.
    pub fn discovered(&self, what: &str) {
        if self.state().undiscovered.remove(what).is_some() {
            self.changed();
        }
    }

    /// Puts a registry on the board that was not read yet.
    pub fn expect_registry(&self, id: &SourceId) {
        self.state().registries.entry(id.clone()).or_default();
        self.changed();
    }

    /// Takes a registry off the board, with all that it held.
    pub fn forget_registry(&self, id: &SourceId) {
        let mut state = self.state();
        state.registries.remove(id);
        state.named.forget(id);
        drop(state);
        self.changed();
    }

    /// Puts a cluster on the board that was not read yet.
    pub fn expect_cluster(&self, id: &SourceId) {
        self.state().clusters.entry(id.clone()).or_default();
        self.changed();
    }

    /// What a registry held when it was last read.
    pub fn registry(&self, id: &SourceId) -> Option<Arc<RegistryContents>> {
        self.state().registries.get(id)?.contents.clone()
    }

    /// A registry is about to be read.
    pub fn registry_begins(&self, id: &SourceId) {
        self.state().named.begins(id);
    }

    /// Waits until labels of a service name a version that a registry may have got since it was read.
    pub async fn wants_look(&self, id: &SourceId) {
        let mut named = self.shared.named.subscribe();
        while self.state().unread_versions(id).next().is_none() {
            if named.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// A registry was read; `contents` is `None` when nothing is new. Reading the same as before is no change, unless
    /// somebody waits for a complete read, or a service for the registry to know it. A registry that was taken off the board meanwhile stays off.
    pub fn registry_read(&self, id: &SourceId, read: Read, contents: Option<RegistryContents>) {
        let changed = {
            let mut state = self.state();
            let mut awaited = read == Read::Complete && state.awaited.remove(id);
            awaited |= state.unread_versions(id).next().is_some();
            state.named.ends(id);
            let Some(source) = state.registries.get_mut(id) else { return };
            let now = Timestamp::now();
            source.status.last_read = Some(now);
            source.status.failure = None;
            if read == Read::Complete {
                source.status.last_complete_read = Some(now);
                source.status.complete_reads += 1;
            }
            let contents = contents.filter(|contents| source.contents.as_deref() != Some(contents));
            let changed = contents.is_some();
            if let Some(contents) = contents {
                source.status.records = contents.models.len() + contents.versions.len();
                source.contents = Some(Arc::new(contents));
            }
            if changed || awaited {
                source.cause = Cause::current();
            }
            changed || awaited
        };
        if changed {
            self.changed();
        }
    }

    /// Asks for a complete read of a source at its next turn.
    pub fn await_complete_read(&self, id: &SourceId) {
        if self.state().awaited.insert(id.clone()) {
            self.shared.awaited.send_modify(|version| *version += 1);
        }
    }

    /// A counter that moves whenever a complete read is asked for.
    pub fn awaited(&self) -> watch::Receiver<u64> {
        self.shared.awaited.subscribe()
    }

    /// Whether a complete read of a source is waited for.
    pub fn is_awaited(&self, id: &SourceId) -> bool {
        self.state().awaited.contains(id)
    }

    /// A registry could not be read: what is known of it stays. Returns whether this is news.
    pub fn registry_failed(&self, id: &SourceId, failure: &str) -> bool {
        let before = {
            let mut state = self.state();
            let Some(source) = state.registries.get_mut(id) else { return false };
            source.status.failure.replace(failure.to_owned())
        };
        // The first failure lets others stop waiting for this registry.
        if before.is_none() {
            self.changed();
        }
        before.as_deref() != Some(failure)
    }

    /// A cluster's watches moved; `contents` is `None` while not all of them were read once.
    pub fn cluster_seen(&self, id: &SourceId, contents: Option<ClusterSnapshot>, failure: Option<String>) {
        {
            let mut state = self.state();
            if let Some(contents) = &contents {
                let known = state.clusters.get(id).map_or(0, |source| source.status.complete_reads);
                if contents.complete_lists > known {
                    state.awaited.remove(id);
                }
            }
            let source = state.clusters.entry(id.clone()).or_default();
            source.status.failure = failure;
            if let Some(contents) = contents {
                source.status.last_read = Some(Timestamp::now());
                source.status.complete_reads = contents.complete_lists;
                if source.status.failure.is_none() {
                    source.status.last_complete_read = Some(Timestamp::now());
                }
                source.status.records = contents.services.len() + contents.llm_services.len();
                source.contents = Some(Arc::new(contents));
                let known = state.clusters.values().filter_map(|source| source.contents.as_deref());
                let named = known.flat_map(NamedVersion::all).collect();
                if state.named.see(named) {
                    self.shared.named.send_modify(|version| *version += 1);
                }
            }
        }
        self.changed();
    }
}
