//! A change in the making: which ConfigMap takes what, and the state that it will lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge_api::EntryKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::{Map, Value as Json, json};

use super::super::StoreError;
use super::codec::Form;
use super::copies::{self, Copy, Held};
use super::layout::{FULL, GoCompatible, LIMIT, Layout, MANAGED_LABEL, SHARDS, STORE_LABEL, Size, name_of};
use super::shard::{Label, Marks, Shard, Snapshot};
use super::value::Value;

/// What to write into one ConfigMap.
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    /// What to put under which key; `None` removes it.
    pub(super) values: BTreeMap<EntryKey, Option<Arc<Value>>>,
    /// How far the numbers of the ConfigMaps go from now on.
    shards: Option<u32>,
}

impl Change {
    /// The ConfigMap once this is written.
    pub(super) fn over(&self, base: Option<&Shard>, version: String) -> Shard {
        let (mut values, mut size) = base.map(|base| (base.values.clone(), base.size)).unwrap_or_default();
        for (key, value) in &self.values {
            let old = match value {
                Some(value) => values.insert(key.clone(), Arc::clone(value)),
                None => values.remove(key),
            };
            size = size - size_of(key, old.as_ref()) + size_of(key, value.as_ref());
        }
        let shards = self.shards.or_else(|| Some(base?.marks.shards)).unwrap_or_default();
        Shard { version, marks: Marks { label: Label::There, shards }, values, size }
    }

    /// The merge patch of a ConfigMap that is there, and that nobody else has changed since.
    pub(super) fn as_patch(&self, base: &Shard) -> Json {
        let encoded = |value: &Option<Arc<Value>>| match value {
            Some(value) => Json::String(STANDARD.encode(value.bytes())),
            None => Json::Null,
        };
        let data: Map<String, Json> =
            self.values.iter().map(|(key, value)| (key.to_string(), encoded(value))).collect();
        let mut patch = json!({ "metadata": { "resourceVersion": base.version } });
        if base.marks.label != Label::There {
            patch["metadata"]["labels"] = json!({ STORE_LABEL.0: STORE_LABEL.1 });
        }
        if let Some(shards) = self.shards {
            patch["metadata"]["annotations"] = json!({ SHARDS: shards.to_string() });
        }
        if !data.is_empty() {
            patch["binaryData"] = Json::Object(data);
        }
        patch
    }

    /// The ConfigMap to make where there is none.
    pub(super) fn as_config_map(&self, number: u32) -> ConfigMap {
        let labels = [STORE_LABEL, MANAGED_LABEL].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let annotations = self.shards.map(|shards| BTreeMap::from([(SHARDS.to_owned(), shards.to_string())]));
        let values = self.values.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let data: BTreeMap<String, ByteString> =
            values.map(|(key, value)| (key.to_string(), ByteString(value.bytes().to_vec()))).collect();
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name_of(number)),
                labels: Some(BTreeMap::from(labels)),
                annotations,
                ..ObjectMeta::default()
            },
            binary_data: Some(data).filter(|data| !data.is_empty()),
            ..ConfigMap::default()
        }
    }
}

/// What is to be written, ConfigMap by ConfigMap.
pub(super) struct Draft<'a> {
    snapshot: &'a Snapshot,
    layout: Layout,
    sizes: BTreeMap<u32, Size>,
    /// Whether a further ConfigMap may be opened.
    opening: Result<(), StoreError>,
    changes: BTreeMap<u32, Change>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, layout: Layout, opening: Result<(), StoreError>) -> Self {
        let mut sizes: BTreeMap<u32, Size> =
            snapshot.shards.iter().map(|(number, shard)| (*number, shard.size)).collect();
        // It is made again when somebody has deleted it.
        sizes.entry(0).or_default();
        Self { snapshot, layout, sizes, opening, changes: BTreeMap::new() }
    }

    /// What to write into each ConfigMap, by their numbers.
    pub(super) fn into_changes(self) -> BTreeMap<u32, Change> {
        self.changes
    }

    /// What will count of an entry.
    pub(super) fn held(&self, key: &EntryKey) -> Option<Held> {
        copies::resolve(key, &self.copies(key), self.form())
    }

    fn copies(&self, key: &EntryKey) -> Vec<Copy> {
        let copy = |number: &u32| Some((*number, self.copy(*number, key)?));
        self.sizes.keys().filter_map(copy).collect()
    }

    fn copy(&self, number: u32, key: &EntryKey) -> Option<Arc<Value>> {
        match self.changes.get(&number).and_then(|change| change.values.get(key)) {
            Some(changed) => changed.clone(),
            None => self.snapshot.shards.get(&number)?.values.get(key).cloned(),
        }
    }

    /// The ConfigMaps that must be written before what was asked of an entry is done.
    pub(super) fn waiting_for(&self, key: &EntryKey) -> BTreeSet<u32> {
        let waiting = self.changes.iter().filter(|(_, change)| change.values.contains_key(key));
        waiting.map(|(number, _)| *number).collect()
    }

    /// How entries are written now.
    pub(super) fn form(&self) -> Form {
        let all_in_first = || self.sizes.iter().all(|(number, size)| *number == 0 || size.entries == 0);
        match self.layout.go_compatible {
            GoCompatible::Always => Form::Readable,
            GoCompatible::Auto if all_in_first() => Form::Readable,
            GoCompatible::Auto | GoCompatible::Never => Form::Compact,
        }
    }

    /// Keeps an entry where there is room for it: where it is, if it may stay there.
    pub(super) fn put(
        &mut self,
        key: &EntryKey,
        held: Option<u32>,
        encode: impl Fn(Form) -> Result<Value, StoreError>,
    ) -> Result<(), StoreError> {
        let value = encode(self.form())?;
        if self.form() == Form::Compact {
            return self.put_anywhere(key, held, value);
        }
        if self.fits_first(self.with(0, key, &value)) {
            self.set(0, key, Some(Arc::new(value)));
            return Ok(());
        }
        if self.layout.go_compatible == GoCompatible::Auto {
            return self.put_anywhere(key, held, encode(Form::Compact)?);
        }
        // What got into another ConfigMap before this was asked for stays true there.
        match held.filter(|number| *number > 0 && self.with(*number, key, &value).fits()) {
            Some(number) => self.set(number, key, Some(Arc::new(value))),
            None => return Err(too_large(format!("the ConfigMap {}", name_of(0)), key, &value)),
        }
        Ok(())
    }

    /// Whether the first ConfigMap may become that large in a form that a Go bridge reads.
    fn fits_first(&self, size: Size) -> bool {
        let shrinks = || self.sizes.get(&0).is_some_and(|now| size.values <= now.values);
        size.fits() && (self.layout.go_compatible == GoCompatible::Always || size.values <= FULL || shrinks())
    }

    fn put_anywhere(&mut self, key: &EntryKey, held: Option<u32>, value: Value) -> Result<(), StoreError> {
        let number = self.place(key, held, &value)?;
        self.set(number, key, Some(Arc::new(value)));
        Ok(())
    }

    /// Keeps an entry in that ConfigMap, or takes it out of there.
    pub(super) fn set(&mut self, number: u32, key: &EntryKey, value: Option<Arc<Value>>) {
        let old = self.copy(number, key);
        let size = self.sizes.entry(number).or_default();
        *size = *size - size_of(key, old.as_ref()) + size_of(key, value.as_ref());
        self.changes.entry(number).or_default().values.insert(key.clone(), value);
    }

    /// Takes all copies of an entry out.
    pub(super) fn remove(&mut self, key: &EntryKey) {
        for (number, _) in self.copies(key) {
            self.set(number, key, None);
        }
    }

    /// The ConfigMap that takes an entry.
    fn place(&mut self, key: &EntryKey, held: Option<u32>, value: &Value) -> Result<u32, StoreError> {
        let target = self.layout.shard_bytes;
        if let Some(number) = held {
            let old = size_of(key, self.copy(number, key).as_ref());
            let new = self.with(number, key, value);
            if new.fits() && (new.weight <= 2 * target || value.len() <= old.values) {
                return Ok(number);
            }
        }
        let roomy = |draft: &Self, most: usize| {
            let mut sizes = draft.sizes.keys().map(|number| (*number, draft.with(*number, key, value)));
            sizes.find(|(_, size)| size.fits() && size.weight <= most).map(|(number, _)| number)
        };
        if let Some(number) = roomy(self, target) {
            return Ok(number);
        }
        if !Size::of(key, value.len()).fits() {
            return Err(too_large("a ConfigMap".to_owned(), key, value));
        }
        match &self.opening {
            Ok(()) => Ok(self.open()),
            // A ConfigMap that is too full is dear to write, but better than none.
            Err(error) => roomy(self, usize::MAX).ok_or_else(|| error.clone()),
        }
    }

    fn open(&mut self) -> u32 {
        let is_free = |number: &u32| !self.sizes.contains_key(number) && !self.snapshot.taken.contains(number);
        let number = (1..=u32::MAX).find(is_free).unwrap_or(u32::MAX);
        self.sizes.insert(number, Size::default());
        if number > self.snapshot.announced() {
            self.changes.entry(0).or_default().shards = Some(number);
        }
        number
    }

    /// The size of a ConfigMap with that under the key.
    fn with(&self, number: u32, key: &EntryKey, value: &Value) -> Size {
        let size = self.sizes.get(&number).copied().unwrap_or_default();
        size - size_of(key, self.copy(number, key).as_ref()) + Size::of(key, value.len())
    }
}

fn size_of(key: &EntryKey, value: Option<&Arc<Value>>) -> Size {
    value.map_or_else(Size::default, |value| Size::of(key, value.len()))
}

fn too_large(store: String, key: &EntryKey, value: &Value) -> StoreError {
    StoreError::TooLarge { store, key: key.clone(), size: value.len(), limit: LIMIT }
}
