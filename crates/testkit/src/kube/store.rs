//! The state of the API: objects, the revision counter, the history of changes, and who watches.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::failure::Failure;
use super::object::{name, namespace, set_meta};
use super::selectors::Selector;
use super::types::{ResourceType, TypeId, built_in, from_definition};

/// Namespace (empty for cluster-scoped objects) and name.
pub(crate) type Key = (String, String);

/// Who applied: resource, object, field manager.
pub(crate) type ApplierKey = (TypeId, Key, String);

const FIRST_REVISION: u64 = 1000;
const HISTORY_LIMIT: usize = 50_000;
pub(crate) const DEFINITIONS: (&str, &str) = ("apiextensions.k8s.io", "customresourcedefinitions");

/// One committed change; `after` is `None` for a deletion.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    type_id: TypeId,
    key: Key,
    before: Option<Arc<Value>>,
    after: Option<Arc<Value>>,
}

/// What an open watch is told.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// An event of type ADDED, MODIFIED or DELETED.
    Event(&'static str, Arc<Value>),
    /// Everything up to this revision has been told.
    Bookmark(u64),
    /// The bookmark that ends the initial events of a streaming list.
    InitialEventsEnd(u64),
    /// The watch has failed with this `Status`.
    Error(Value),
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) id: u64,
    pub(crate) type_id: TypeId,
    pub(crate) selector: Selector,
    pub(crate) sender: UnboundedSender<Message>,
}

/// Everything that survives a restart of the server.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) types: Vec<ResourceType>,
    objects: BTreeMap<TypeId, BTreeMap<Key, Arc<Value>>>,
    pub(crate) revision: u64,
    /// Changes at or below this revision are forgotten.
    pub(crate) compacted: u64,
    history: VecDeque<Change>,
    /// Kinds that were defined anew: their watches cannot start below this revision.
    defined_at: HashMap<TypeId, u64>,
    pub(crate) watchers: Vec<Watcher>,
    next_watcher: u64,
    /// What each field manager applied last, for server-side apply.
    pub(crate) applied: HashMap<ApplierKey, Value>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            types: built_in(),
            objects: BTreeMap::new(),
            revision: FIRST_REVISION,
            compacted: FIRST_REVISION,
            history: VecDeque::new(),
            defined_at: HashMap::new(),
            watchers: Vec::new(),
            next_watcher: 0,
            applied: HashMap::new(),
        }
    }

    /// The served resource of a group, version and plural.
    pub(crate) fn find_type(&self, group: &str, version: &str, plural: &str) -> Option<ResourceType> {
        self.types.iter().find(|known| known.is(group, plural) && known.versions.iter().any(|v| v == version)).cloned()
    }

    /// Whether any resource of the group and version is served.
    pub(crate) fn serves(&self, group: &str, version: &str) -> bool {
        self.types.iter().any(|known| known.group == group && known.versions.iter().any(|v| v == version))
    }

    pub(crate) fn get(&self, type_id: &TypeId, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(type_id)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All objects of a resource, in key order.
    pub(crate) fn all<'a>(&'a self, type_id: &TypeId) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        self.objects.get(type_id).into_iter().flat_map(BTreeMap::values)
    }

    /// All objects of a resource as they were at a revision that is still in the history.
    pub(crate) fn all_at(&self, type_id: &TypeId, revision: u64) -> Result<BTreeMap<Key, Arc<Value>>, Failure> {
        if revision > self.revision {
            return Err(Failure::too_large_revision(revision, self.revision));
        }
        if revision < self.compacted {
            return Err(Failure::expired("The resourceVersion for the provided list is too old."));
        }
        let mut objects = self.objects.get(type_id).cloned().unwrap_or_default();
        for change in self.history.iter().rev().take_while(|change| change.revision > revision) {
            if change.type_id != *type_id {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), Arc::clone(before)),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects)
    }

    /// What a watch with this selector would have been told since `revision`.
    pub(crate) fn events_since(&self, revision: u64, type_id: &TypeId, selector: &Selector) -> Vec<Message> {
        let start = self.history.partition_point(|change| change.revision <= revision);
        self.history
            .range(start..)
            .filter(|change| change.type_id == *type_id)
            .filter_map(|change| change.event_for(selector))
            .collect()
    }

    /// Stores an object under the next revision.
    pub(crate) fn put(&mut self, resource: &ResourceType, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        set_meta(&mut object, "resourceVersion", Some(json!(self.revision.to_string())));
        let key = (namespace(&object).to_owned(), name(&object).to_owned());
        let object = Arc::new(object);
        let before = self.objects.entry(resource.id()).or_default().insert(key.clone(), Arc::clone(&object));
        self.record(resource.id(), key, before, Some(Arc::clone(&object)));
        object
    }

    /// Removes an object under the next revision; the answer is its last content.
    pub(crate) fn remove(&mut self, resource: &ResourceType, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.get_mut(&resource.id())?.remove(key)?;
        self.revision += 1;
        let type_id = resource.id();
        self.applied.retain(|(of, applied_key, _), _| *of != type_id || applied_key != key);
        self.record(type_id, key.clone(), Some(Arc::clone(&before)), None);
        Some(before)
    }

    fn record(&mut self, type_id: TypeId, key: Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        let redefines = (type_id.group.as_str(), type_id.plural.as_str()) == DEFINITIONS;
        let change = Change { revision: self.revision, type_id, key, before, after };
        self.watchers.retain(|watcher| {
            if watcher.type_id != change.type_id {
                return !watcher.sender.is_closed();
            }
            match change.event_for(&watcher.selector) {
                Some(event) => watcher.sender.send(event).is_ok(),
                None => !watcher.sender.is_closed(),
            }
        });
        self.history.push_back(change);
        if self.history.len() > HISTORY_LIMIT
            && let Some(forgotten) = self.history.pop_front()
        {
            self.compacted = forgotten.revision;
        }
        if redefines {
            self.reload_types();
        }
    }

    /// Takes the served kinds from the CustomResourceDefinitions; watches on kinds that changed end.
    fn reload_types(&mut self) {
        let definitions = TypeId { group: DEFINITIONS.0.to_owned(), plural: DEFINITIONS.1.to_owned() };
        let mut types = built_in();
        types.extend(
            self.all(&definitions)
                .filter_map(|definition| from_definition(definition))
                .filter(|defined| !defined.versions.is_empty()),
        );
        let gone: Vec<TypeId> =
            self.types.iter().filter(|known| !types.contains(known)).map(ResourceType::id).collect();
        self.watchers.retain(|watcher| !gone.contains(&watcher.type_id));
        for defined in types.iter().filter(|defined| !self.types.contains(defined)) {
            self.defined_at.insert(defined.id(), self.revision);
        }
        self.types = types;
    }

    /// Registers an open watch and returns its id.
    pub(crate) fn add_watcher(&mut self, type_id: TypeId, selector: Selector, sender: UnboundedSender<Message>) -> u64 {
        self.next_watcher += 1;
        let id = self.next_watcher;
        self.watchers.push(Watcher { id, type_id, selector, sender });
        id
    }

    /// Queues a bookmark behind everything that the watch has been told so far.
    pub(crate) fn bookmark(&self, watcher: u64) {
        if let Some(watcher) = self.watchers.iter().find(|open| open.id == watcher) {
            // A closed receiver is noticed and cleaned up by the next change.
            let _ = watcher.sender.send(Message::Bookmark(self.revision));
        }
    }

    /// The revision below which no watch on this kind can start.
    pub(crate) fn oldest_watchable(&self, type_id: &TypeId) -> u64 {
        self.defined_at.get(type_id).copied().unwrap_or_default().max(self.compacted)
    }

    /// Forgets the history, as the caches of a server that was restarted.
    pub(crate) fn forget_history(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
    }

    /// Forgets the history, as etcd's compaction does.
    pub(crate) fn compact(&mut self) {
        // Another resource's change: without it, a watcher that is up to date would never be too old.
        self.revision += 1;
        self.forget_history();
    }
}

impl Change {
    /// What a watch with this selector sees of the change. An object that leaves the selection looks deleted.
    fn event_for(&self, selector: &Selector) -> Option<Message> {
        let before = self.before.as_ref().filter(|object| selector.matches(object));
        let after = self.after.as_ref().filter(|object| selector.matches(object));
        match (before, after) {
            (None, None) => None,
            (None, Some(after)) => Some(Message::Event("ADDED", Arc::clone(after))),
            (Some(_), Some(after)) => Some(Message::Event("MODIFIED", Arc::clone(after))),
            (Some(before), None) => {
                let mut last = Value::clone(before);
                set_meta(&mut last, "resourceVersion", Some(json!(self.revision.to_string())));
                Some(Message::Event("DELETED", Arc::new(last)))
            }
        }
    }
}
