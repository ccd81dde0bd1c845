//! Entries into a store: only those that differ, many at a time, and what becomes of the others.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::bail;
use bridge_api::EntryKey;
use futures::{StreamExt as _, stream};
use storage_rest::store::{Filling, IndexEntry, Outcome, Store, StoreError, StoredEntry};

use crate::progress::Progress;

/// How many writes are under way at once; stores do several of them together.
const AT_ONCE: usize = 250;

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    /// Only counted.
    DryRun,
}

/// What becomes of entries that the store holds and that are not among those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Keep,
    Remove,
}

/// What was done, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    mode: Mode,
    created: usize,
    updated: usize,
    unchanged: usize,
    removed: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, created, updated, unchanged, removed } = self;
        let would = if *mode == Mode::DryRun { "would be: " } else { "" };
        write!(f, "{would}{created} created, {updated} updated, {removed} removed, {unchanged} unchanged")
    }
}

/// What an entry differs in from what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Difference {
    is_new: bool,
    content: bool,
    location: bool,
}

/// Entries on their way into a store.
pub(super) struct Writing<'a> {
    store: &'a dyn Store,
    whole: bool,
    /// What it held before, without what has come since.
    held: BTreeMap<EntryKey, IndexEntry>,
    counts: Counts,
    refused: Vec<String>,
    progress: Progress,
}

impl<'a> Writing<'a> {
    /// `whole`: whether what comes is all that there should be. A store that begins empty is marked as being filled
    /// first: an interrupted copy must not be taken for the whole by a bridge that starts on it.
    pub(super) async fn begin(store: &'a dyn Store, mode: Mode, whole: bool, coming: usize) -> anyhow::Result<Self> {
        let held: BTreeMap<EntryKey, IndexEntry> =
            store.index().await?.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        if held.is_empty() && mode == Mode::Write {
            store.set_filling(Filling::UnderWay).await?;
        }
        let counts = Counts { mode, created: 0, updated: 0, unchanged: 0, removed: 0 };
        let progress = Progress::new("comparing", coming);
        Ok(Self { store, whole, held, counts, refused: Vec::new(), progress })
    }

    /// Writes what differs.
    pub(super) async fn put(&mut self, entries: Vec<(EntryKey, StoredEntry)>) -> anyhow::Result<()> {
        let count = entries.len();
        let mut changes = Vec::new();
        for (key, entry) in entries {
            match difference(self.held.remove(&key).as_ref(), &entry) {
                Some(difference) => changes.push((key, entry, difference)),
                None => self.counts.unchanged += 1,
            }
        }
        let (store, mode) = (self.store, self.counts.mode);
        let mut written = stream::iter(changes)
            .map(|(key, entry, difference)| async move {
                let written = if mode == Mode::Write { write(store, &key, entry, difference).await } else { Ok(()) };
                (difference, written)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((difference, result)) = written.next().await {
            match result {
                Ok(()) if difference.is_new => self.counts.created += 1,
                Ok(()) => self.counts.updated += 1,
                // One entry alone: the others go on.
                Err(error @ (StoreError::TooLarge { .. } | StoreError::Corrupt { .. })) => {
                    self.progress.aside(|| eprintln!("{error}"));
                    self.refused.push(error.to_string());
                }
                Err(error) => bail!("{error}; stopped with {}", self.counts),
            }
        }
        self.progress.add(count);
        Ok(())
    }

    /// After the last entry.
    pub(super) async fn end(mut self, others: Others) -> anyhow::Result<Counts> {
        if !self.refused.is_empty() {
            bail!("{} entries were refused, and nothing was removed: {}", self.refused.len(), self.counts);
        }
        if others == Others::Remove {
            let gone: Vec<EntryKey> = self.held.into_keys().collect();
            self.counts.removed = gone.len();
            if self.counts.mode == Mode::Write && !gone.is_empty() {
                self.store.remove(&gone).await?;
            }
        }
        if self.counts.mode == Mode::Write && self.whole && self.store.filling().await? == Filling::UnderWay {
            self.store.set_filling(Filling::Over).await?;
        }
        Ok(self.counts)
    }
}

/// `None`: nothing that anyone reads. An origin or a location that the entry does not tell is no difference: upserts keep
/// what is stored of them.
fn difference(held: Option<&IndexEntry>, entry: &StoredEntry) -> Option<Difference> {
    let Some(held) = held else {
        return Some(Difference { is_new: true, content: true, location: entry.location.is_some() });
    };
    let content = held.digest != entry.digest()
        || held.reconciler_type != entry.reconciler_type
        || (entry.origin.is_some() && held.origin != entry.origin);
    let location = entry.location.is_some() && held.location != entry.location;
    (content || location).then_some(Difference { is_new: false, content, location })
}

async fn write(
    store: &dyn Store,
    key: &EntryKey,
    entry: StoredEntry,
    difference: Difference,
) -> Result<(), StoreError> {
    let location = entry.location.clone();
    if difference.content {
        let outcome = store.upsert(key, entry).await?;
        tracing::debug!(%key, outcome = Outcome::as_str(outcome), "written");
    }
    if difference.location {
        store.set_location(key, location).await?;
    }
    Ok(())
}
