//! Delivery to location: pushes what it lacks, removes what is gone, until it holds exactly what storage holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bridge_api::{ClientError, Digest, EntryKey, LocationClient, PostBody, UriList};
use http::StatusCode;
use service::Shutdown;
use service::telemetry::TARGET;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::work::{Cause, Work};
use super::{Change, Held, Pace, Settled, Touched, Untold};
use crate::metrics::{Delivery, StorageMetrics, Target};
use crate::store::{IndexEntry, Store, StoreError};

/// How long requests under way may take when the service stops.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// What delivery to location needs.
pub struct LocationDelivery {
    /// Where entries come from.
    pub store: Arc<dyn Store>,
    /// Where they go.
    pub client: LocationClient,
    /// What has changed.
    pub touched: Arc<Touched>,
    /// Whether what the store lacks is gone.
    pub settled: Settled,
    /// What location holds, for those who build on it.
    pub held: Arc<Held>,
    /// What those who build on it are to be told of, where there are any.
    pub untold: Option<Arc<Untold>>,
    /// What is counted.
    pub metrics: StorageMetrics,
    /// How patient it is.
    pub pace: Pace,
}

impl LocationDelivery {
    /// Delivers until the service stops.
    pub async fn run(self, shutdown: Shutdown) {
        let mut delivery = Delivering {
            given: Arc::new(self),
            work: Work::default(),
            changes: BTreeMap::new(),
            requests: JoinSet::new(),
            reach: Reach::Unknown,
            failures: 0,
            refusals: 0,
            compare_at: Instant::now(),
        };
        delivery.run(&shutdown).await;
        let finish = async { while delivery.requests.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_REQUESTS, finish).await.is_err() {
            tracing::warn!("stopped while location had not answered; the rest is delivered after the next start");
        }
    }
}

/// What is known about location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It was not asked yet.
    Unknown,
    /// A request broke off since it was last asked.
    Doubtful,
    /// It can't be reached.
    Away,
    /// It refuses us, whatever we send.
    Refusing,
    /// It is reading storage by itself, and takes changes meanwhile.
    Loading,
    /// It serves.
    Up,
}

struct Delivering {
    given: Arc<LocationDelivery>,
    work: Work,
    /// By which changes there is work.
    changes: BTreeMap<EntryKey, Change>,
    requests: JoinSet<(EntryKey, Change, Result<Pushed, PushError>)>,
    reach: Reach,
    failures: u32,
    /// How often in a row location refused us, before it took anything.
    refusals: u32,
    compare_at: Instant,
}

/// What a key has come to.
enum Pushed {
    Upserted(Digest),
    AlreadyHeld,
    Removed,
}

/// Why a key has come to nothing.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Location(#[from] ClientError),
}

impl PushError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Location(error) => error.is_retryable(),
        }
    }
}

impl Delivering {
    async fn run(&mut self, shutdown: &Shutdown) {
        loop {
            self.start_requests();
            self.given.metrics.undelivered(Target::Location, self.work.len());
            let due = self.work.next_due();
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.given.touched.next() => {
                    self.work.touch(changed.keys().cloned());
                    self.changes.extend(changed);
                }
                Some(finished) = self.requests.join_next() => {
                    if let Ok((key, change, result)) = finished {
                        self.settle(key, change, result);
                    }
                }
                () = tokio::time::sleep_until(self.compare_at) => {
                    if shutdown.unless(self.compare()).await.is_none() {
                        return;
                    }
                }
                () = sleep_until(due), if due.is_some() => self.work.wake_due(Instant::now()),
            }
        }
    }

    fn start_requests(&mut self) {
        if !matches!(self.reach, Reach::Up | Reach::Loading) {
            return;
        }
        while self.work.under_way() < self.given.pace.concurrency {
            let Some(key) = self.work.start_next() else { return };
            let given = Arc::clone(&self.given);
            let change = self.changes.remove(&key).unwrap_or_default();
            self.requests.spawn(async move {
                let span = change
                    .cause
                    .leads_to(|| tracing::info_span!(target: TARGET, parent: None, "deliver to location", %key));
                let result = push(&given, &key, &change).instrument(span).await;
                (key, change, result)
            });
        }
    }

    fn settle(&mut self, key: EntryKey, change: Change, result: Result<Pushed, PushError>) {
        match result {
            Ok(settled) => {
                self.taken(&key, change, settled);
                self.work.done(&key);
            }
            Err(error) => {
                // It is still to be delivered, unless another one came in between.
                self.changes.entry(key.clone()).or_insert(change);
                self.not_taken(key, &error);
            }
        }
    }

    fn taken(&mut self, key: &EntryKey, change: Change, settled: Pushed) {
        let (delivery, digest) = match settled {
            Pushed::Upserted(digest) => (Delivery::Upserted, Some(digest)),
            Pushed::Removed => (Delivery::Removed, None),
            Pushed::AlreadyHeld => return,
        };
        self.refusals = 0;
        self.given.metrics.delivered(Target::Location, delivery);
        self.given.held.set(key.clone(), digest);
        if let Some(untold) = &self.given.untold {
            untold.note(key.clone(), change.cause);
        }
    }

    fn not_taken(&mut self, key: EntryKey, error: &PushError) {
        let given = &self.given;
        if let PushError::Location(refusal) = error
            && refusal.is_refusal()
        {
            given.metrics.delivered(Target::Location, Delivery::Failed);
            let wait = given.pace.longest_wait;
            self.work.again(key, Cause::Failed, wait);
            if self.reach != Reach::Refusing {
                self.refused(refusal);
            }
            return;
        }
        if !error.is_retryable() {
            given.metrics.delivered(Target::Location, Delivery::Rejected);
            tracing::warn!(%key, %error, "location does not take an entry; others are delivered all the same");
            return self.work.again(key, Cause::Rejected, given.pace.resync);
        }
        given.metrics.delivered(Target::Location, Delivery::Failed);
        tracing::debug!(%key, %error, "an entry is not delivered yet");
        if matches!(error, PushError::Location(ClientError::Transport { .. })) && self.reach != Reach::Away {
            // Is it this request, or is location away, or has it been started anew and knows nothing?
            self.reach = Reach::Doubtful;
            self.compare_at = Instant::now();
        }
        let failures = self.work.count_failure(&key);
        self.work.again(key, Cause::Failed, given.pace.wait(failures));
    }

    /// One refusal stands for all: what is to be delivered waits, and is tried again slowly.
    fn refused(&mut self, refusal: &ClientError) {
        self.reach = Reach::Refusing;
        self.refusals = self.refusals.saturating_add(1);
        let wait = self.given.pace.wait(self.refusals);
        self.compare_at = Instant::now() + wait;
        if self.refusals == 1 {
            tracing::error!("location refuses storage-rest, nothing is delivered until their tokens agree: {refusal}");
        } else {
            tracing::warn!(retry_in = ?wait, "location still refuses storage-rest: {refusal}");
        }
    }

    /// Asks location what it holds and storage what there is, and queues the difference.
    async fn compare(&mut self) {
        let listed = self.given.client.list().await;
        let index = match self.given.store.index().await {
            Ok(index) => index,
            Err(error) => {
                tracing::warn!(%error, "the store can't be listed, so nothing is compared with location");
                return self.compare_later();
            }
        };
        self.given.metrics.listed(index.len());
        match listed {
            Ok(list) => self.compare_with(&list, &index),
            Err(error) if error.status() == Some(StatusCode::SERVICE_UNAVAILABLE) => self.let_it_load(&index),
            Err(error) if error.is_refusal() => self.refused(&error),
            Err(error) => {
                if self.reach != Reach::Away {
                    tracing::warn!(%error, "location can't be reached; entries are delivered when it is back");
                    self.reach = Reach::Away;
                }
                self.compare_later();
            }
        }
    }

    fn compare_with(&mut self, list: &UriList, index: &[IndexEntry]) {
        let held = self.held_by(list);
        let differing = difference(&held, index, &self.given.settled);
        self.given.held.confirm(held);
        if !matches!(self.reach, Reach::Up | Reach::Doubtful) {
            tracing::info!(entries = index.len(), to_deliver = differing.len(), "location is reached");
            self.work.target_is_back();
        }
        self.work.replace(differing);
        self.reach = Reach::Up;
        self.failures = 0;
        self.compare_at = Instant::now() + self.given.pace.resync;
    }

    /// Location reads all of storage by itself: only what changes from now on is pushed, until it lists what it holds.
    fn let_it_load(&mut self, index: &[IndexEntry]) {
        let servable = || index.iter().filter(|entry| entry.body_len > 0);
        let held =
            self.given.held.assume_once(|| servable().map(|entry| (entry.key.clone(), entry.digest.clone())).collect());
        let differing = difference(&held, index, &self.given.settled);
        if self.reach != Reach::Loading {
            tracing::info!("location is loading; it is sent what changes meanwhile");
            self.reach = Reach::Loading;
            self.failures = 0;
            self.work.target_is_back();
        }
        self.work.touch(differing);
        self.compare_later();
    }

    fn compare_later(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.compare_at = Instant::now() + self.given.pace.wait(self.failures);
    }

    /// What location holds by its own word, or, where it only tells URIs, by what it was sent since it was reached.
    fn held_by(&self, list: &UriList) -> BTreeMap<EntryKey, Digest> {
        if let Some(entries) = &list.entries {
            let known = entries.iter().filter_map(|entry| Some((entry.key.parse().ok()?, entry.digest.clone())));
            return known.collect();
        }
        let sent = match self.reach {
            Reach::Up => self.given.held.confirmed().unwrap_or_default(),
            _ => BTreeMap::new(),
        };
        let listed = list.uris.iter().filter_map(|uri| key_of(uri));
        let with_digest = |key: EntryKey| {
            let digest = sent.get(&key).cloned().unwrap_or_else(unknown_digest);
            (key, digest)
        };
        listed.map(with_digest).collect()
    }
}

/// Equal to no content's digest.
fn unknown_digest() -> Digest {
    Digest::from(String::new())
}

/// The key of the entry that location serves under `uri`.
fn key_of(uri: &str) -> Option<EntryKey> {
    let mut segments = uri.trim_start_matches('/').split('/');
    let (first, second, _file) = (segments.next()?, segments.next()?, segments.next()?);
    if segments.next().is_some() {
        return None;
    }
    EntryKey::from_segments(first, second).ok()
}

/// The keys that location holds otherwise than storage. An entry without a document can't be served, so location is
/// not to hold it. What storage lacks counts only once it is settled.
fn difference(held: &BTreeMap<EntryKey, Digest>, index: &[IndexEntry], settled: &Settled) -> BTreeSet<EntryKey> {
    let servable = || index.iter().filter(|entry| entry.body_len > 0);
    let lacking = servable().filter(|entry| held.get(&entry.key) != Some(&entry.digest)).map(|entry| &entry.key);
    let wanted: BTreeSet<&EntryKey> = servable().map(|entry| &entry.key).collect();
    let gone = held.keys().filter(|key| settled.is_settled() && !wanted.contains(key));
    lacking.chain(gone).cloned().collect()
}

/// Makes location hold of one key what the store holds now.
async fn push(given: &LocationDelivery, key: &EntryKey, change: &Change) -> Result<Pushed, PushError> {
    let stored = given.store.fetch(key).await?.filter(|entry| !entry.body.is_empty());
    let Some(entry) = stored else {
        given.client.remove(key).await?;
        return Ok(Pushed::Removed);
    };
    let digest = entry.digest();
    if given.held.surely_has(key, &digest) {
        return Ok(Pushed::AlreadyHeld);
    }
    let post = PostBody { changed_at: change.at, ..entry.into_post_body() };
    given.client.upsert(key, &post).await?;
    Ok(Pushed::Upserted(digest))
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_both_formats_lead_to_keys() {
        for (uri, key) in [
            ("/granite-0-lab/v1/catalog-info.yaml", Some("granite-0-lab_v1")),
            ("/ai-models/mnist-v1/model-catalog.json", Some("ai-models_mnist-v1")),
            ("/a/b_c/model-catalog.json", Some("a_b_c")),
            ("/a/model-catalog.json", None),
            ("/a/b/c/model-catalog.json", None),
            ("", None),
        ] {
            assert_eq!(key_of(uri).map(|key| key.to_string()).as_deref(), key, "{uri}");
        }
    }
}
