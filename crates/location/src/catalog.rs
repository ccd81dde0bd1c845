//! The catalog that is served: the current snapshot, and the only ways to replace it.
//!
//! A push by storage is newer than what a load that runs meanwhile has read, so a load leaves alone what was pushed since
//! it began.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use bridge_api::{EntryKey, Upserted};
use model_catalog::render::Format;
use tokio::sync::watch;

use crate::metrics::SizeGauges;
use crate::snapshot::{Completeness, Entry, Snapshot};

/// What all requests and the loading from storage share.
#[derive(Debug)]
pub struct ServedCatalog {
    format: Format,
    current: ArcSwap<Snapshot>,
    sizes: SizeGauges,
    /// The number of the current snapshot.
    generation: watch::Sender<u64>,
    /// Held by whoever replaces the snapshot.
    pushed: Mutex<Pushed>,
}

/// The keys that were pushed since a load began; none when no load is running.
#[derive(Debug, Default)]
struct Pushed(Option<HashSet<EntryKey>>);

/// What a load found.
#[derive(Debug)]
pub struct Load {
    /// The entries that are new or changed.
    pub changed: Vec<(EntryKey, Entry)>,
    /// All entries that storage holds and that can be served; everything else is removed.
    pub present: HashSet<EntryKey>,
    /// Whether all that is present and differs is in `changed`.
    pub completeness: Completeness,
}

/// What a load did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// How many entries were put in.
    pub changed: usize,
    /// How many entries were taken out.
    pub removed: usize,
}

impl ServedCatalog {
    /// An empty catalog, of which nothing is shown until it is loaded.
    pub fn new(format: Format) -> Self {
        // Who has seen a snapshot of a process before this one must not take ours for it.
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        Self {
            format,
            current: ArcSwap::default(),
            sizes: SizeGauges::default(),
            generation: watch::Sender::new(u64::try_from(started).unwrap_or_default()),
            pushed: Mutex::default(),
        }
    }

    /// The format of its documents.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The snapshot of this moment, for a short look.
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The snapshot of this moment, to keep.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Takes an entry from storage's push.
    pub fn push(&self, key: EntryKey, entry: Entry) -> Upserted {
        let mut pushed = self.lock();
        pushed.remember(&key);
        let current = self.current.load();
        let known = current.entry(&key);
        let result = if known.is_some() { Upserted::Existed } else { Upserted::Created };
        if known.is_none_or(|known| known.digest() != entry.digest()) {
            let mut next = current.to_edit();
            next.insert(key, entry);
            self.replace(next);
        }
        result
    }

    /// Takes out an entry that storage says is gone.
    pub fn remove(&self, key: &EntryKey) {
        let mut pushed = self.lock();
        pushed.remember(key);
        let current = self.current.load();
        if current.entry(key).is_some() {
            let mut next = current.to_edit();
            next.remove(key);
            self.replace(next);
        }
    }

    /// From now on pushes win over what the load that begins will find.
    pub fn begin_load(&self) {
        self.lock().0 = Some(HashSet::new());
    }

    /// Applies what a load found, and ends it.
    pub fn finish_load(&self, load: Load) -> Applied {
        let mut pushed = self.lock();
        let pushed = pushed.0.take().unwrap_or_default();
        let current = self.current.load();
        let gone: Vec<EntryKey> =
            current.keys().filter(|key| !load.present.contains(*key) && !pushed.contains(*key)).cloned().collect();
        let differs = |(key, entry): &(EntryKey, Entry)| {
            !pushed.contains(key) && current.entry(key).is_none_or(|known| known.digest() != entry.digest())
        };
        let changed: Vec<_> = load.changed.into_iter().filter(differs).collect();
        let applied = Applied { changed: changed.len(), removed: gone.len() };
        let becomes_loaded =
            load.completeness == Completeness::Loaded && current.completeness() != Completeness::Loaded;
        if applied == Applied::default() && !becomes_loaded {
            return applied;
        }
        let mut next = current.to_edit();
        for key in &gone {
            next.remove(key);
        }
        for (key, entry) in changed {
            next.insert(key, entry);
        }
        if becomes_loaded {
            next.set_loaded();
        }
        self.replace(next);
        applied
    }

    /// How much is served, at any moment.
    pub fn sizes(&self) -> &SizeGauges {
        &self.sizes
    }

    /// Tells when another snapshot takes the place of the one before, by its number.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    fn replace(&self, mut next: Snapshot) {
        self.sizes.show(&next);
        let generation = *self.generation.borrow() + 1;
        next.set_generation(generation);
        self.current.store(Arc::new(next));
        self.generation.send_replace(generation);
    }

    fn lock(&self) -> MutexGuard<'_, Pushed> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pushed {
    fn remember(&mut self, key: &EntryKey) {
        if let Some(keys) = &mut self.0 {
            keys.insert(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: &str) -> Entry {
        Entry::new(Format::ModelCatalogJson, body.as_bytes().to_vec(), "", String::new()).unwrap()
    }

    fn key(text: &str) -> EntryKey {
        text.parse().unwrap()
    }

    fn load(keys: &[&str], body: &str) -> Load {
        Load {
            changed: keys.iter().map(|text| (key(text), entry(body))).collect(),
            present: keys.iter().map(|text| key(text)).collect(),
            completeness: Completeness::Loaded,
        }
    }

    fn body(catalog: &ServedCatalog, text: &str) -> Option<String> {
        let snapshot = catalog.snapshot();
        snapshot.entry(&key(text)).map(|entry| String::from_utf8(entry.document().bytes().to_vec()).unwrap())
    }

    #[test]
    fn what_is_pushed_during_a_load_wins_over_it() {
        let catalog = ServedCatalog::new(Format::ModelCatalogJson);
        catalog.push(key("removed_1"), entry("{}"));
        catalog.begin_load();
        assert_eq!(catalog.push(key("new_1"), entry(r#"{"pushed":1}"#)), Upserted::Created);
        assert_eq!(catalog.push(key("both_1"), entry(r#"{"pushed":1}"#)), Upserted::Created);
        catalog.remove(&key("removed_1"));
        let applied = catalog.finish_load(load(&["both_1", "removed_1", "loaded_1"], r#"{"loaded":1}"#));
        assert_eq!(applied, Applied { changed: 1, removed: 0 });
        assert_eq!(body(&catalog, "new_1").as_deref(), Some(r#"{"pushed":1}"#));
        assert_eq!(body(&catalog, "both_1").as_deref(), Some(r#"{"pushed":1}"#));
        assert_eq!(body(&catalog, "loaded_1").as_deref(), Some(r#"{"loaded":1}"#));
        assert_eq!(body(&catalog, "removed_1"), None);
    }

    #[test]
    fn what_was_pushed_before_a_load_gives_way_to_storage() {
        let catalog = ServedCatalog::new(Format::ModelCatalogJson);
        catalog.push(key("gone_1"), entry("{}"));
        catalog.push(key("old_1"), entry("{}"));
        catalog.begin_load();
        let applied = catalog.finish_load(load(&["old_1"], r#"{"loaded":1}"#));
        assert_eq!(applied, Applied { changed: 1, removed: 1 });
        assert_eq!(body(&catalog, "old_1").as_deref(), Some(r#"{"loaded":1}"#));
        assert_eq!(body(&catalog, "gone_1"), None);
    }

    #[test]
    fn nothing_new_is_no_new_snapshot() {
        let catalog = ServedCatalog::new(Format::ModelCatalogJson);
        catalog.finish_load(load(&["a_1"], "{}"));
        let before = catalog.snapshot();
        assert_eq!(catalog.finish_load(load(&["a_1"], "{}")), Applied::default());
        assert_eq!(catalog.push(key("a_1"), entry("{}")), Upserted::Existed);
        catalog.remove(&key("unknown_1"));
        assert!(Arc::ptr_eq(&before, &catalog.snapshot()));
    }
}
