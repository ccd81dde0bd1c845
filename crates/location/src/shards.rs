//! A map that is cheap to copy and to change a little after copying, so that each change of the catalog can be a new
//! snapshot even with 100,000 entries: it consists of many small maps, and a copy shares all that it does not change.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

const SHARDS: usize = 512;

/// A map from text keys whose clones share what is equal in them.
#[derive(Debug, Clone)]
pub(crate) struct Shards<K, V> {
    shards: Box<[Arc<HashMap<K, V>>]>,
    len: usize,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(HashMap::new());
        Self { shards: vec![empty; SHARDS].into(), len: 0 }
    }
}

impl<K: Borrow<str> + Hash + Eq + Clone, V: Clone> Shards<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &str) -> Option<&V> {
        self.shards.get(shard_of(key))?.get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let Some(shard) = self.shards.get_mut(shard_of(key.borrow())) else { return };
        if Arc::make_mut(shard).insert(key, value).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        let shard = self.shards.get_mut(shard_of(key))?;
        if !shard.contains_key(key) {
            return None;
        }
        let removed = Arc::make_mut(shard).remove(key)?;
        self.len -= 1;
        Some(removed)
    }

    /// All pairs, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}

fn shard_of(key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // Nothing is lost that matters: only the remainder is used.
    usize::try_from(hasher.finish() % (SHARDS as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_copies_do_not_change(changes in prop::collection::vec(("[a-c]{1,2}", any::<Option<u8>>()), 0..60)) {
            let mut shards = Shards::<String, u8>::default();
            let mut model = BTreeMap::new();
            for (key, value) in changes {
                let (before, model_before) = (shards.clone(), model.clone());
                if let Some(value) = value {
                    shards.insert(key.clone(), value);
                    model.insert(key, value);
                } else {
                    prop_assert_eq!(shards.remove(&key), model.remove(&key));
                }
                for (shards, model) in [(&before, &model_before), (&shards, &model)] {
                    let all: BTreeMap<_, _> = shards.iter().map(|(key, value)| (key.clone(), *value)).collect();
                    prop_assert_eq!(&all, model);
                    prop_assert_eq!(shards.len(), model.len());
                    prop_assert!(model.iter().all(|(key, value)| shards.get(key) == Some(value)));
                }
            }
        }
    }
}
