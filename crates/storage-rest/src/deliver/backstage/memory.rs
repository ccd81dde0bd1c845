//! What Backstage was told, and how much of that the store remembers.
//!
//! Ids are kept at once. That Backstage was told of other content under an id that is kept already is worth no write of
//! its own, which some stores pay dearly for: it is kept now and then, and when the service stops. What a crash loses
//! thereby is told once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bridge_api::{Digest, EntryKey};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use crate::store::{ImportedLocation, Store, StoreError};

/// How many writes are under way at once; a store that can writes them together.
const WRITES: usize = 64;

pub(super) struct Memory {
    known: BTreeMap<EntryKey, ImportedLocation>,
    unsaved: BTreeSet<EntryKey>,
    save_at: Instant,
    every: Duration,
}

/// A location that is as it should be.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) key: EntryKey,
    pub(super) location: ImportedLocation,
    pub(super) kept: Kept,
}

/// Whether the store remembers a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// As it is.
    Yes,
    /// All but what Backstage was told.
    ButForNews,
    /// Not, or another.
    No,
}

impl Kept {
    pub(super) fn of(location: &ImportedLocation, stored: Option<&ImportedLocation>) -> Self {
        match stored {
            Some(stored) if stored == location => Self::Yes,
            Some(stored) if stored.id == location.id && stored.target == location.target => Self::ButForNews,
            _ => Self::No,
        }
    }
}

impl Memory {
    pub(super) fn new(every: Duration) -> Self {
        Self { known: BTreeMap::new(), unsaved: BTreeSet::new(), save_at: Instant::now() + every, every }
    }

    pub(super) fn known(&self) -> &BTreeMap<EntryKey, ImportedLocation> {
        &self.known
    }

    /// Forgets what location does not hold any more.
    pub(super) fn retain(&mut self, held: &BTreeMap<EntryKey, Digest>) {
        self.known.retain(|key, _| held.contains_key(key));
        self.unsaved.retain(|key| held.contains_key(key));
    }

    pub(super) fn remember(&mut self, placed: Placed) {
        let Placed { key, location, kept } = placed;
        match kept {
            Kept::Yes => drop(self.unsaved.remove(&key)),
            Kept::ButForNews => drop(self.unsaved.insert(key.clone())),
            Kept::No => {
                self.unsaved.insert(key.clone());
                self.save_at = Instant::now();
            }
        }
        self.known.insert(key, location);
    }

    /// Writes what is not written yet, if it is time to.
    pub(super) async fn save_when_due(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.save_at > now {
            return Ok(());
        }
        self.save(store).await?;
        self.save_at = now + self.every;
        Ok(())
    }

    pub(super) async fn save(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let unsaved: Vec<(EntryKey, ImportedLocation)> =
            self.unsaved.iter().filter_map(|key| Some((key.clone(), self.known.get(key)?.clone()))).collect();
        let mut writes = stream::iter(unsaved)
            .map(|(key, location)| async move {
                let written = store.set_location(&key, Some(location)).await;
                (key, written)
            })
            .buffer_unordered(WRITES);
        let mut result = Ok(());
        while let Some((key, written)) = writes.next().await {
            match written {
                Ok(()) => drop(self.unsaved.remove(&key)),
                Err(error) => result = Err(error),
            }
        }
        result
    }
}
