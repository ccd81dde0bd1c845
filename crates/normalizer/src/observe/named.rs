//! Versions that labels of services name, and which registries were read since that was seen.
//!
//! A model is registered and at once deployed; a watch tells of the service long before the registry's next poll. Until
//! the registry was read again, a service that no registry seems to know is no model of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::inventory::SourceId;
use crate::labels::NamedVersion;

/// What is named, in the order in which it was first seen.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// How many were seen so far.
    seen: u64,
    /// The number of each that is named now.
    numbers: BTreeMap<NamedVersion, u64>,
    reads: BTreeMap<SourceId, Reads>,
}

/// How many had been seen when reads of a registry began.
#[derive(Debug, Default)]
struct Reads {
    /// The one that is under way.
    begun: u64,
    /// The last one that succeeded.
    done: u64,
}

impl Named {
    /// These are named now. Answers whether any of them was not before.
    pub(super) fn see(&mut self, named: BTreeSet<NamedVersion>) -> bool {
        let before = self.seen;
        let mut known = std::mem::take(&mut self.numbers);
        for version in named {
            let number = known.remove(&version).unwrap_or_else(|| {
                self.seen += 1;
                self.seen
            });
            self.numbers.insert(version, number);
        }
        self.seen > before
    }

    /// A read of a registry begins.
    pub(super) fn begins(&mut self, registry: &SourceId) {
        self.reads.entry(registry.clone()).or_default().begun = self.seen;
    }

    /// It succeeded.
    pub(super) fn ends(&mut self, registry: &SourceId) {
        let reads = self.reads.entry(registry.clone()).or_default();
        reads.done = reads.begun;
    }

    /// A registry is not read any more.
    pub(super) fn forget(&mut self, registry: &SourceId) {
        self.reads.remove(registry);
    }

    /// What a registry may have got since it was read.
    pub(super) fn unread(&self, registry: &SourceId) -> impl Iterator<Item = &NamedVersion> {
        let done = self.reads.get(registry).map_or(0, |reads| reads.done);
        self.numbers.iter().filter(move |(_, number)| **number > done).map(|(version, _)| version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str) -> NamedVersion {
        NamedVersion { model: "1".to_owned(), version: id.to_owned() }
    }

    fn seen(named: &mut Named, ids: &[&str]) -> bool {
        named.see(ids.iter().map(|id| version(id)).collect())
    }

    fn unread(named: &Named, registry: &SourceId) -> Vec<String> {
        named.unread(registry).map(|version| version.version.clone()).collect()
    }

    #[test]
    fn a_read_covers_what_was_seen_before_it_began() {
        let (mut named, lab) = (Named::default(), SourceId::registry("lab"));
        assert!(seen(&mut named, &["2"]));
        assert_eq!(unread(&named, &lab), ["2"], "it was never read");
        named.begins(&lab);
        assert!(seen(&mut named, &["2", "3"]));
        named.ends(&lab);
        assert_eq!(unread(&named, &lab), ["3"]);
        named.begins(&lab);
        assert_eq!(unread(&named, &lab), ["3"], "a read that has not ended says nothing");
        named.ends(&lab);
        assert!(unread(&named, &lab).is_empty());
        assert!(!seen(&mut named, &["2", "3"]), "nothing of it is new");
        assert!(unread(&named, &lab).is_empty());
    }

    #[test]
    fn what_was_named_by_none_for_a_while_is_new_again() {
        let (mut named, lab) = (Named::default(), SourceId::registry("lab"));
        seen(&mut named, &["2"]);
        named.begins(&lab);
        named.ends(&lab);
        assert!(!seen(&mut named, &[]));
        assert!(seen(&mut named, &["2"]));
        assert_eq!(unread(&named, &lab), ["2"]);
        named.forget(&lab);
        assert_eq!(unread(&named, &lab), ["2"]);
    }
}
