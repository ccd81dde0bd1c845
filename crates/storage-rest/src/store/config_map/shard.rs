//! What the ConfigMaps hold at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bridge_api::EntryKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

use super::super::StoreError;
use super::codec::Form;
use super::copies::{self, Copy, Held};
use super::layout::{MANAGED_LABEL, SHARDS, STORE_LABEL, Size};
use super::value::Value;

/// One ConfigMap.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    pub(super) version: String,
    pub(super) marks: Marks,
    pub(super) values: BTreeMap<EntryKey, Arc<Value>>,
    pub(super) size: Size,
}

/// What the metadata of a ConfigMap says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) label: Label,
    /// How far the numbers go; only the first ConfigMap says so.
    pub(super) shards: u32,
}

/// Whether a ConfigMap is found by its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// It is.
    There,
    /// It is not, but it is marked as the bridge's otherwise.
    Lost,
    /// Nothing says that it is the bridge's.
    Never,
}

impl Marks {
    pub(super) fn of(metadata: &ObjectMeta) -> Self {
        let is = |(name, value): (&str, &str)| {
            metadata.labels.as_ref().and_then(|labels| labels.get(name)).is_some_and(|found| found == value)
        };
        let label = match (is(STORE_LABEL), is(MANAGED_LABEL)) {
            (true, _) => Label::There,
            (false, true) => Label::Lost,
            (false, false) => Label::Never,
        };
        let shards = metadata.annotations.as_ref().and_then(|annotations| annotations.get(SHARDS)?.parse().ok());
        Self { label, shards: shards.unwrap_or_default() }
    }
}

/// The version that a ConfigMap is at.
pub(super) fn version_of(metadata: &ObjectMeta) -> String {
    metadata.resource_version.clone().unwrap_or_default()
}

impl Shard {
    /// The ConfigMap as read; what has not changed since it was `known` is shared with that.
    pub(super) fn of(config_map: ConfigMap, known: Option<&Self>) -> Self {
        let mut shard = Self {
            version: version_of(&config_map.metadata),
            marks: Marks::of(&config_map.metadata),
            values: BTreeMap::new(),
            size: Size::default(),
        };
        for (key, text) in config_map.data.unwrap_or_default() {
            shard.size = shard.size + Size::foreign(&key, text.len());
        }
        for (key, ByteString(bytes)) in config_map.binary_data.unwrap_or_default() {
            let Ok(entry) = key.parse::<EntryKey>() else {
                shard.size = shard.size + Size::foreign(&key, bytes.len());
                continue;
            };
            shard.size = shard.size + Size::of(&entry, bytes.len());
            let same = known.and_then(|known| known.values.get(&entry)).filter(|value| *value.bytes() == *bytes);
            let value = same.map_or_else(|| Arc::new(Value::new(bytes)), Arc::clone);
            shard.values.insert(entry, value);
        }
        shard
    }
}

/// All ConfigMaps of the store at one moment.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) shards: BTreeMap<u32, Arc<Shard>>,
    /// Numbers whose names others have taken.
    pub(super) taken: BTreeSet<u32>,
    /// Why only the first could be looked for, where that is so.
    pub(super) alone: Option<StoreError>,
    /// No older than this; `None` when it may be outdated.
    pub(super) as_of: Option<Instant>,
    /// The entries of which there are several copies.
    pub(super) doubles: BTreeSet<EntryKey>,
}

impl Snapshot {
    pub(super) fn new(shards: BTreeMap<u32, Arc<Shard>>, taken: BTreeSet<u32>, as_of: Instant) -> Self {
        let doubles = doubles_of(&shards);
        Self { shards, taken, alone: None, as_of: Some(as_of), doubles }
    }

    /// How far the numbers go, as the first ConfigMap says.
    pub(super) fn announced(&self) -> u32 {
        self.shards.get(&0).map_or(0, |first| first.marks.shards)
    }

    /// The same, but for one ConfigMap.
    pub(super) fn with(&self, number: u32, shard: Shard) -> Self {
        let mut shards = self.shards.clone();
        shards.insert(number, Arc::new(shard));
        let doubles = doubles_of(&shards);
        Self { shards, doubles, ..self.clone() }
    }

    pub(super) fn copies(&self, key: &EntryKey) -> Vec<Copy> {
        let copies = self.shards.iter().filter_map(|(number, shard)| Some((*number, shard.values.get(key)?)));
        copies.map(|(number, value)| (number, Arc::clone(value))).collect()
    }

    /// What counts of an entry.
    pub(super) fn held(&self, key: &EntryKey) -> Option<Held> {
        copies::resolve(key, &self.copies(key), Form::Readable)
    }

    /// Each entry once, with what counts of it; in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (EntryKey, Arc<Value>)> {
        let single = self.shards.values().flat_map(|shard| &shard.values);
        let single = single.filter(|(key, _)| !self.doubles.contains(*key));
        let single = single.map(|(key, value)| (key.clone(), Arc::clone(value)));
        single.chain(self.doubles.iter().filter_map(|key| Some((key.clone(), self.held(key)?.value))))
    }
}

fn doubles_of(shards: &BTreeMap<u32, Arc<Shard>>) -> BTreeSet<EntryKey> {
    if shards.values().filter(|shard| !shard.values.is_empty()).count() < 2 {
        return BTreeSet::new();
    }
    let mut keys: Vec<&EntryKey> = shards.values().flat_map(|shard| shard.values.keys()).collect();
    keys.sort_unstable();
    keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect()
}
