//! Publishing: brings storage in step with a projection. Sends the entries whose content storage does not hold, then
//! the set of keys that there are.
//!
//! The state that counts is storage's own list, read anew each time: nothing is remembered from one time to the next
//! but what a Go storage, whose list has no digests, was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bridge_api::clients::{ClientError, StorageClient};
use bridge_api::digest::{Digest, content_digest};
use bridge_api::key::EntryKey;
use bridge_api::messages::{Origin, PostBody, ReconcilerType};
use calls::Outcome;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use model_catalog::render::{Format, RenderError, RenderOptions, render_with};
use thiserror::Error;
use tracing::Instrument as _;

use crate::hold::{HeldRemoval, HoldPolicy, Holds, Loss};
use crate::inventory::SourceId;
use crate::metrics::NormalizerMetrics;
use crate::observe::Observed;
use crate::project::naming::Identity;
use crate::project::{Entry, Projection};

mod causes;

use causes::{Causes, Fresh};

/// How many entries are sent at a time. Storage writes them in groups, so more at once is faster.
const CONCURRENCY: usize = 32;

/// What storage says that it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    entries: BTreeMap<EntryKey, StoredEntry>,
    /// Whether storage waits to be told what there is.
    unsettled: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct StoredEntry {
    digest: Option<Digest>,
    origin: Option<Origin>,
}

/// What a publication did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// Entries that were sent.
    pub upserts: usize,
    /// Entries that storage refused, with its reasons.
    pub refused: Vec<(EntryKey, String)>,
    /// Keys that were taken out.
    pub removed: Vec<EntryKey>,
    /// Storage is being filled, and some sources could not be read yet.
    pub unsettled: bool,
    /// Sources of which a complete read is waited for, before more is taken out.
    pub awaited: Vec<Option<String>>,
}

/// Storage could not be brought in step.
#[derive(Debug, Error)]
pub enum PublishError {
    /// Storage did not answer as it should.
    #[error(transparent)]
    Storage(#[from] ClientError),
    /// A document could not be written.
    #[error(transparent)]
    Render(#[from] RenderError),
}

impl PublishError {
    /// What kind of failure it is, whatever it says.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Storage(error) => error.outcome(),
            Self::Render(_) => Outcome::Rejected,
        }
    }
}

/// An entry in the form in which it is sent.
struct Rendered {
    key: EntryKey,
    reconciler: ReconcilerType,
    post: PostBody,
    digest: Digest,
}

/// Sends projections to one storage.
#[derive(Debug)]
pub struct Publisher {
    storage: StorageClient,
    format: Format,
    options: RenderOptions,
    metrics: NormalizerMetrics,
    /// What was sent, for storages that do not tell.
    sent: BTreeMap<EntryKey, Digest>,
    announced: bool,
    holds: Holds,
    /// Sources of stored entries that nobody reads, and since when they were missed.
    missed: BTreeMap<String, Instant>,
    grace: Duration,
    /// When each source was last read before storage was last in step: what changed since is a change, and not the first
    /// that is seen of a source.
    in_step: BTreeMap<SourceId, Timestamp>,
    causes: Causes,
}

impl Publisher {
    /// A publisher to `storage`.
    pub fn new(
        storage: StorageClient,
        format: Format,
        policy: HoldPolicy,
        grace: Duration,
        metrics: NormalizerMetrics,
    ) -> Self {
        let options = RenderOptions::default();
        Self {
            storage,
            format,
            options,
            metrics,
            sent: BTreeMap::new(),
            announced: false,
            holds: Holds::new(policy),
            missed: BTreeMap::new(),
            grace,
            in_step: BTreeMap::new(),
            causes: Causes::default(),
        }
    }

    /// The same, with what `options` add to each entry.
    #[must_use]
    pub fn emitting(self, options: RenderOptions) -> Self {
        Self { options, ..self }
    }

    /// The sources that are given up: entries of theirs are stored, nobody reads them, and none was left to be found
    /// for `SOURCE_GRACE`. A restart begins that time anew.
    pub fn given_up(&mut self, stored: &Stored, observed: &Observed, now: Instant) -> BTreeSet<String> {
        let known = |source: &str| observed.known.iter().any(|id| id.as_str() == source);
        let origins = stored.entries.values().filter_map(|held| held.origin.as_ref());
        let missed: BTreeSet<&String> = origins.map(|origin| &origin.source).filter(|source| !known(source)).collect();
        self.missed.retain(|source, _| observed.discovered && missed.contains(source));
        if observed.discovered {
            for source in missed {
                self.missed.entry(source.clone()).or_insert(now);
            }
        }
        let over = |since: &Instant| now.duration_since(*since) >= self.grace;
        self.missed.iter().filter(|(_, since)| over(since)).map(|(source, _)| source.clone()).collect()
    }

    /// Whether a source is missed, and not given up yet.
    pub fn misses_any(&self, observed: &Observed) -> bool {
        self.missed.keys().any(|source| !observed.given_up.contains(source))
    }

    /// Removals that wait to be believed.
    pub fn held(&self) -> Vec<HeldRemoval> {
        self.holds.held()
    }

    /// What storage holds now.
    pub async fn stored(&self) -> Result<Stored, PublishError> {
        let list = self.storage.list().await?;
        let unsettled = list.settled == Some(false);
        let mut entries = BTreeMap::new();
        for key in list.keys {
            match key.parse::<EntryKey>() {
                Ok(key) => drop(entries.insert(key, StoredEntry::default())),
                Err(error) => tracing::warn!("storage lists a key that is none, it is left alone: {error}"),
            }
        }
        for entry in list.entries.into_iter().flatten() {
            if let Ok(key) = entry.key.parse::<EntryKey>() {
                entries.insert(key, StoredEntry { digest: Some(entry.digest), origin: entry.origin });
            }
        }
        Ok(Stored { entries, unsettled })
    }

    /// Brings storage, which holds `stored`, in step with `projection`.
    pub async fn publish(
        &mut self,
        projection: &Projection,
        stored: &Stored,
        observed: &Observed,
    ) -> Result<Published, PublishError> {
        let mut published = Published::default();
        let mut taken = Vec::new();
        let fresh = self.causes.fresh(&observed.causes);
        let (storage, spans) = (&self.storage, &fresh);
        // Written one by one as they are sent: all documents of a large catalog at once would be much memory.
        let mut sending = stream::iter(self.due(projection, stored, observed))
            .map(|rendered| async move {
                let rendered = rendered?;
                let span = spans.upsert(&rendered.key, rendered.post.origin.as_ref());
                let sent = storage.upsert(&rendered.key, rendered.reconciler, &rendered.post).instrument(span).await;
                Ok::<_, RenderError>((rendered, sent))
            })
            .buffer_unordered(CONCURRENCY);
        let mut failure = None;
        while let Some(done) = sending.next().await {
            let (rendered, sent) = done?;
            let key = rendered.key;
            match sent {
                Ok(_) => {
                    self.metrics.upsert("ok");
                    published.upserts += 1;
                    taken.push((key, rendered.digest));
                }
                // What one is refused for, all are: asking on would be thousands of refusals.
                Err(error) if error.is_refusal() => {
                    self.metrics.upsert("failed");
                    failure = Some(error);
                    break;
                }
                Err(error) if error.is_retryable() => {
                    self.metrics.upsert("failed");
                    failure = Some(error);
                }
                Err(error) => {
                    self.metrics.upsert("refused");
                    published.refused.push((key, error.to_string()));
                }
            }
        }
        drop(sending);
        self.sent.extend(taken);
        if let Some(error) = failure {
            return Err(error.into());
        }
        self.announce(projection, stored, observed, &fresh, &mut published).await?;
        self.in_step.clone_from(&observed.last_reads);
        self.causes.published(&observed.causes);
        Ok(published)
    }

    /// When the change happened that an entry is sent for; `None` where it is the first that is seen of its source. A
    /// record of a registry says so itself; where it does not, because something else has changed, it is now.
    fn changed_at(&self, entry: &Entry, now: Timestamp) -> Option<i64> {
        let source = SourceId::from_text(entry.origin.source.clone());
        let before = self.in_step.get(&source)?.as_millisecond();
        let now = now.as_millisecond();
        Some(entry.last_update.filter(|at| (before..=now).contains(at)).unwrap_or(now))
    }

    /// The entries whose content storage does not hold, or of which it does not know what they are made from.
    fn due<'a>(
        &'a self,
        projection: &'a Projection,
        stored: &'a Stored,
        observed: &'a Observed,
    ) -> impl Iterator<Item = Result<Rendered, RenderError>> + 'a {
        let now = Timestamp::now();
        projection.entries.values().filter_map(move |entry| {
            let held = stored.entries.get(&entry.key);
            if waits(entry, held, observed) {
                return None;
            }
            let rendered = match Rendered::new(entry, self.format, &self.options) {
                Ok(rendered) => rendered.changed(self.changed_at(entry, now)),
                Err(error) => return Some(Err(error)),
            };
            let same = held.is_some_and(|held| match &held.digest {
                Some(digest) => *digest == rendered.digest && held.origin.as_ref() == Some(&entry.origin),
                None => self.sent.get(&entry.key) == Some(&rendered.digest),
            });
            (!same).then_some(Ok(rendered))
        })
    }

    /// Sends the key set, where it says something new.
    async fn announce(
        &mut self,
        projection: &Projection,
        stored: &Stored,
        observed: &Observed,
        fresh: &Fresh,
        published: &mut Published,
    ) -> Result<(), PublishError> {
        // What was never read may hold anything: until then nothing is said of what there is.
        if !observed.is_complete() {
            // But a storage that began with nothing has nothing to lose, and others wait for what it has.
            published.unsettled = stored.unsettled && !observed.patience_is_over;
            if stored.unsettled && observed.patience_is_over {
                tracing::warn!("not every source can be read: what is known is shown without the others");
                self.storage.settle().await?;
            }
            return Ok(());
        }
        let refused: BTreeSet<&EntryKey> = published.refused.iter().map(|(key, _)| key).collect();
        // An entry that storage refuses under a new key stays under the one that it has.
        let waiting: BTreeSet<&Origin> = projection
            .entries
            .values()
            .filter(|entry| refused.contains(&entry.key))
            .map(|entry| &entry.origin)
            .collect();
        let gone = |key: &EntryKey, held: &StoredEntry| {
            !projection.entries.contains_key(key)
                && !held.origin.as_ref().is_some_and(|origin| waiting.contains(origin))
                && is_gone(held, projection, observed)
        };
        let losses = losses(stored, observed, gone);
        let verdict = self.holds.judge(losses, Instant::now());
        published.removed = verdict.release.into_iter().collect();
        published.awaited = verdict.awaited;
        self.metrics
            .held
            .set(i64::try_from(self.holds.held().iter().map(|held| held.entries).sum::<usize>()).unwrap_or(i64::MAX));
        if self.announced && !stored.unsettled && published.removed.is_empty() {
            return Ok(());
        }
        let removed: BTreeSet<&EntryKey> = published.removed.iter().collect();
        let keys: BTreeSet<&EntryKey> = projection
            .entries
            .keys()
            .filter(|key| !refused.contains(key))
            .chain(stored.entries.keys().filter(|key| !removed.contains(key)))
            .collect();
        let keys: Vec<EntryKey> = keys.into_iter().cloned().collect();
        let origins = published.removed.iter().filter_map(|key| stored.entries.get(key)?.origin.as_ref());
        let span = fresh.removal(published.removed.len(), origins.map(|origin| origin.source.as_str()));
        self.storage.current_key_set(&keys).instrument(span).await?;
        self.announced = true;
        self.metrics.removals.inc_by(published.removed.len() as u64);
        for key in &published.removed {
            self.sent.remove(key);
            tracing::info!(%key, "the entry is gone from its source and was removed");
        }
        Ok(())
    }
}

/// Whether an entry is better left as it is stored, because something that belongs to it could not be read yet.
fn waits(entry: &Entry, held: Option<&StoredEntry>, observed: &Observed) -> bool {
    let stored = held.and_then(|held| held.origin.as_ref());
    let Some(stored) = stored.filter(|stored| Identity::from(*stored) == Identity::from(&entry.origin)) else {
        return entry.unsettled;
    };
    let server_unknown = || {
        let before = stored.served_by.as_ref().filter(|_| entry.origin.served_by.is_none());
        before.is_some_and(|service| {
            let read = observed.known.iter().any(|source| source.as_str() == service.cluster) || !observed.discovered;
            read && !observed.inventory.settles(&service.cluster, &service.namespace, &service.name)
        })
    };
    entry.card_pending || entry.api_pending || server_unknown()
}

impl Stored {
    /// What storage holds and no source shows, though nothing proves that it is gone.
    pub fn remembered(&self, observed: &Observed) -> BTreeSet<Origin> {
        let origins = self.entries.values().filter_map(|held| held.origin.as_ref());
        origins.filter(|origin| !proves_absent(observed, origin)).cloned().collect()
    }
}

/// What each source that is stored would lose.
fn losses(
    stored: &Stored,
    observed: &Observed,
    gone: impl Fn(&EntryKey, &StoredEntry) -> bool,
) -> BTreeMap<Option<String>, Loss> {
    // Whose source is not known, or not read any more, is judged by all that are read.
    let by_all = observed.complete_reads.values().min().copied().unwrap_or_default();
    let mut losses: BTreeMap<Option<String>, Loss> = BTreeMap::new();
    for (key, held) in &stored.entries {
        let source = held.origin.as_ref().map(|origin| origin.source.clone());
        let reads = || {
            let own = observed.complete_reads.iter().find(|(id, _)| Some(id.as_str()) == source.as_deref());
            own.map_or(by_all, |(_, reads)| *reads)
        };
        let loss = losses.entry(source.clone()).or_insert_with(|| Loss { reads: reads(), ..Loss::default() });
        loss.stored += 1;
        if gone(key, held) {
            loss.gone.insert(key.clone());
        }
    }
    losses
}

/// Whether an entry that is not in the projection may be removed.
fn is_gone(held: &StoredEntry, projection: &Projection, observed: &Observed) -> bool {
    match &held.origin {
        // Written by a Go normalizer: whose it is, nobody knows.
        None => observed.is_complete(),
        // Renamed: the projection has it under another key.
        Some(origin) => projection.shows(origin) || projection.filters_out(origin) || proves_absent(observed, origin),
    }
}

/// Whether an entry's source proves that it is gone, or was given up.
fn proves_absent(observed: &Observed, origin: &Origin) -> bool {
    let known = observed.known.iter().any(|source| source.as_str() == origin.source);
    if known { observed.inventory.proves_absent(origin) } else { observed.given_up.contains(&origin.source) }
}

impl Rendered {
    fn new(entry: &Entry, format: Format, options: &RenderOptions) -> Result<Self, RenderError> {
        let (model_card_key, model_card) =
            entry.card.as_ref().map(|card| (card.key.clone(), card.text.to_string())).unwrap_or_default();
        let post = PostBody {
            body: render_with(&entry.catalog, format, options)?,
            last_update_time_since_epoch: entry.last_update.map(|time| time.to_string()).unwrap_or_default(),
            model_card_key,
            model_card,
            origin: Some(entry.origin.clone()),
            changed_at: None,
        };
        let digest = content_digest(&post.body, &post.model_card_key, &post.model_card);
        Ok(Self { key: entry.key.clone(), reconciler: entry.reconciler, post, digest })
    }

    fn changed(mut self, at: Option<i64>) -> Self {
        self.post.changed_at = at;
        self
    }
}
