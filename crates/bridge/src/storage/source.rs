//! All entries of a store, some at a time.

use std::collections::VecDeque;

use anyhow::Context as _;
use bridge_api::EntryKey;
use storage_rest::store::{Filling, IndexEntry, Store, StoredEntry};

/// How many are read together, at the most.
const TOGETHER: usize = 500;
/// About how many bytes of documents are read together.
const BYTES_TOGETHER: usize = 16 << 20;

/// Reads a store to its end. Entries that are removed meanwhile are left out, those that come are not waited for.
pub(super) struct StoreSource<'a> {
    store: &'a dyn Store,
    whole: bool,
    left: VecDeque<IndexEntry>,
}

impl<'a> StoreSource<'a> {
    pub(super) async fn of(store: &'a dyn Store) -> anyhow::Result<Self> {
        let whole = store.filling().await? == Filling::Over;
        let left: VecDeque<IndexEntry> = store.index().await?.into();
        Ok(Self { store, whole, left })
    }

    /// Whether it is all that there should be, and not still being filled for the first time.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) fn len(&self) -> usize {
        self.left.len()
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<(EntryKey, StoredEntry)>>> {
        let (mut keys, mut bytes) = (Vec::new(), 0);
        while keys.len() < TOGETHER && bytes < BYTES_TOGETHER {
            let Some(listed) = self.left.pop_front() else { break };
            bytes += listed.body_len;
            keys.push(listed.key);
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let mut entries = self.store.fetch_many(&keys).await.context("an entry can't be read")?;
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Some(entries))
    }
}
