//! The last known objects of one kind, by the part of the cluster that one watch covers (all of it, or a namespace).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::watch::Sender;

use super::{
    kinds::Watched,
    state::{KindState, Scope},
};
use crate::request::RequestError;

/// Namespace and name.
pub(super) type ObjectKey = (String, String);
/// `None`: the whole cluster; else a namespace.
pub(super) type Part = Option<String>;
/// Which of the reads that were asked for: they are numbered from 1.
pub(super) type Read = u64;
pub(super) type Objects<W> = BTreeMap<ObjectKey, Arc<<W as Watched>::Kept>>;

pub(super) struct KindCache<W: Watched> {
    parts: Mutex<BTreeMap<Part, PartCache<W>>>,
    version: Arc<Sender<u64>>,
}

struct PartCache<W: Watched> {
    state: KindState,
    objects: Objects<W>,
    read: Read,
    /// A list has shown what there is, and nothing has said since that the kind is gone.
    listed: bool,
}

impl<W: Watched> PartCache<W> {
    fn empty() -> Self {
        Self { state: KindState::NotYet { reason: None }, objects: BTreeMap::new(), read: 0, listed: false }
    }

    /// A read was completed; only those that are counted are news.
    fn finish(&mut self, read: Read) -> bool {
        let news = W::COUNTED && self.read != read;
        self.read = read;
        news
    }

    fn enter(&mut self, state: KindState) -> bool {
        let changed = self.state.differs(&state);
        self.state = state;
        changed
    }
}

/// A consistent copy of one kind.
pub(super) struct KindView<W: Watched> {
    pub(super) state: KindState,
    pub(super) scope: Scope,
    /// The newest read that every part has completed; 0: none.
    pub(super) read: Read,
    pub(super) objects: Vec<Arc<W::Kept>>,
}

impl<W: Watched> KindCache<W> {
    pub(super) fn new(version: Arc<Sender<u64>>) -> Self {
        Self { parts: Mutex::new(BTreeMap::from([(None, PartCache::empty())])), version }
    }

    /// From one watch of everything to one watch a namespace. Done only while there is nothing to lose.
    pub(super) fn split(&self, namespaces: &[String]) {
        let mut parts = self.lock();
        *parts = namespaces.iter().map(|name| (Some(name.clone()), PartCache::empty())).collect();
        drop(parts);
        self.moved();
    }

    /// A list, begun for this read, completed: what it lacks is gone.
    pub(super) fn replace(&self, part: &Part, objects: Objects<W>, read: Read) {
        self.update(part, |cache| {
            let changed = cache.objects != objects;
            cache.objects = objects;
            cache.listed = true;
            let entered = cache.enter(KindState::Complete { at: Timestamp::now() });
            cache.finish(read) || entered || changed
        });
    }

    /// An object was added or changed; it may also have ceased to be one of ours.
    pub(super) fn apply(&self, part: &Part, key: ObjectKey, kept: Option<W::Kept>) {
        self.update(part, |cache| match kept {
            None => cache.objects.remove(&key).is_some(),
            Some(kept) if cache.objects.get(&key).is_some_and(|known| **known == kept) => false,
            Some(kept) => {
                cache.objects.insert(key, Arc::new(kept));
                true
            }
        });
    }

    /// The kind is not installed, as was seen for this read: nothing of it exists.
    pub(super) fn absent(&self, part: &Part, read: Read) {
        self.update(part, |cache| {
            cache.objects.clear();
            cache.listed = false;
            let entered = cache.enter(KindState::Absent);
            cache.finish(read) || entered
        });
    }

    /// Something failed: what is known stays.
    pub(super) fn failed(&self, part: &Part, error: &RequestError) {
        self.update(part, |cache| {
            let state = cache.state.after(error);
            cache.enter(state)
        });
    }

    /// Whether more is known of a part than that the kind is not installed.
    pub(super) fn is_listed(&self, part: &Part) -> bool {
        self.lock().get(part).is_some_and(|cache| cache.listed)
    }

    pub(super) fn view(&self) -> KindView<W> {
        let parts = self.lock();
        let namespaces = parts.keys().flatten().cloned().collect::<Vec<_>>();
        KindView {
            state: KindState::together(parts.values().map(|part| part.state.clone()).collect()),
            scope: if parts.contains_key(&None) { Scope::AllNamespaces } else { Scope::Namespaces(namespaces) },
            read: parts.values().map(|part| part.read).min().unwrap_or_default(),
            // Parts are namespaces, so chaining them keeps the order by namespace and name.
            objects: parts.values().flat_map(|part| part.objects.values().cloned()).collect(),
        }
    }

    fn update(&self, part: &Part, change: impl FnOnce(&mut PartCache<W>) -> bool) {
        let changed = self.lock().get_mut(part).is_some_and(change);
        if changed {
            self.moved();
        }
    }

    fn moved(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Part, PartCache<W>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
