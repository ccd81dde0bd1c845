//! The difference between what Backstage has and what it should have, as steps.

use std::collections::{BTreeMap, HashMap};

use backstage_client::Location;
use bridge_api::{Digest, EntryKey};
use model_catalog::render::Format;

use super::ours::BridgeUrl;
use crate::store::{ImportedLocation, IndexEntry};

/// How the locations of this bridge look.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) bridge: BridgeUrl,
    pub(super) format: Format,
    pub(super) kind: String,
}

/// What an entry should be in Backstage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) key: EntryKey,
    pub(super) target: String,
    /// What location serves there.
    pub(super) held: Digest,
    /// Whether that is what the store holds; else location is about to be sent something newer.
    pub(super) current: bool,
    /// What is known of it: by memory, else by the store.
    pub(super) remembered: Option<ImportedLocation>,
    /// What the store remembers of it.
    pub(super) stored: Option<ImportedLocation>,
    /// The location that it had when the bridge had another URL or type.
    pub(super) former: Option<Location>,
}

/// What is to be done for one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Create(Wanted),
    Adopt(Wanted, String),
    Delete(Location),
}

impl Step {
    /// The target of the location that it is about.
    pub(super) fn target(&self) -> &str {
        match self {
            Self::Create(wanted) | Self::Adopt(wanted, _) => &wanted.target,
            Self::Delete(location) => &location.target,
        }
    }
}

/// What Backstage has and the store holds, when a pass begins.
pub(super) struct Found<'a> {
    pub(super) index: &'a [IndexEntry],
    /// What location holds.
    pub(super) held: &'a BTreeMap<EntryKey, Digest>,
    /// What was remembered since the start, in memory.
    pub(super) remembered: &'a BTreeMap<EntryKey, ImportedLocation>,
    pub(super) locations: Vec<Location>,
}

/// Whether what the store lacks may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    Proven,
    Unproven,
}

impl Registered {
    pub(super) fn target(&self, key: &EntryKey) -> String {
        format!("{}{}", self.bridge.as_str(), key.uri(self.format))
    }

    fn is_ours(&self, location: &Location) -> bool {
        location.kind == self.kind && self.bridge.covers(&location.target)
    }

    /// Locations of others are in no step.
    pub(super) fn plan(&self, found: Found<'_>, absence: Absence) -> Vec<Step> {
        let (ours, others): (Vec<Location>, Vec<Location>) =
            found.locations.into_iter().partition(|location| self.is_ours(location));
        let mut ours: BTreeMap<String, Location> =
            ours.into_iter().map(|location| (location.target.clone(), location)).collect();
        let others: HashMap<String, Location> =
            others.into_iter().map(|location| (location.id.clone(), location)).collect();
        let mut steps = Vec::new();
        for entry in found.index {
            let target = self.target(&entry.key);
            let registered = ours.remove(&target);
            // What location does not hold yet stays as it is.
            let Some(held) = found.held.get(&entry.key).cloned() else { continue };
            let stored = entry.location.clone();
            let wanted = Wanted {
                key: entry.key.clone(),
                target,
                current: held == entry.digest,
                held,
                remembered: found.remembered.get(&entry.key).cloned().or_else(|| stored.clone()),
                former: stored.as_ref().and_then(|stored| former(stored, &others)),
                stored,
            };
            steps.push(match registered {
                Some(location) => Step::Adopt(wanted, location.id),
                None => Step::Create(wanted),
            });
        }
        if absence == Absence::Proven {
            steps.extend(ours.into_values().map(Step::Delete));
        }
        steps
    }
}

/// The location that the store remembers, where Backstage has it still and it is not one that the bridge would register
/// today. That the store knows its id proves that it is the bridge's own.
fn former(stored: &ImportedLocation, others: &HashMap<String, Location>) -> Option<Location> {
    others.get(&stored.id).filter(|location| location.target == stored.target).cloned()
}

impl Wanted {
    /// What Backstage was last told to read at the location of this id; `None` where nobody knows.
    pub(super) fn told(&self, id: &str) -> Option<&Digest> {
        let remembered = self.remembered.as_ref().filter(|known| known.id == id && known.target == self.target);
        remembered.and_then(|known| known.told.as_ref())
    }

    /// Whether location serves something that Backstage was not told of.
    pub(super) fn is_news(&self, id: &str) -> bool {
        self.current && self.told(id) != Some(&self.held)
    }
}
