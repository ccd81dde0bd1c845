//! Which of several copies of an entry counts. An entry that moves is written in its new ConfigMap before it leaves the
//! old one, and whoever writes without knowing of a move may touch the copy that is left behind. So an entry may be in
//! several ConfigMaps for a while, and everybody must read the same in them.
//!
//! The newest content counts, with the newest location, by their stamps. A copy without stamps was written by a Go
//! bridge (or before there were stamps): it is older than one that says it replaced it, and newer than any other.

use std::cmp::Reverse;
use std::sync::Arc;

use bridge_api::EntryKey;

use super::super::ImportedLocation;
use super::codec::{Decoded, Form, Stamps};
use super::value::{Facts, Value};

/// A copy of an entry: the number of its ConfigMap, and what is there.
pub(super) type Copy = (u32, Arc<Value>);

/// What counts of an entry.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// The ConfigMap that keeps it.
    pub(super) shard: u32,
    /// What that ConfigMap is to hold.
    pub(super) value: Arc<Value>,
    /// Whether it does so already.
    pub(super) settled: Settled,
    /// The newest stamp of all copies.
    pub(super) newest: u64,
}

/// Whether the ConfigMap that keeps an entry holds all that counts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// Something of it is in another copy still.
    No,
}

/// What counts of the copies of an entry; `None` when there is none.
pub(super) fn resolve(key: &EntryKey, copies: &[Copy], form: Form) -> Option<Held> {
    let known: Vec<(u32, &Arc<Value>, &Facts)> =
        copies.iter().filter_map(|(shard, value)| Some((*shard, value, value.facts(key).ok()?))).collect();
    let newest = known.iter().map(|(_, _, facts)| newest_stamp(facts)).max().unwrap_or_default();
    let held = |shard: u32, value: &Arc<Value>, settled| Held { shard, value: Arc::clone(value), settled, newest };
    let Some((shard, value, facts)) = winner(&known) else {
        let (shard, value) = copies.iter().min_by_key(|(shard, _)| *shard)?;
        return Some(held(*shard, value, Settled::Yes));
    };
    match location_elsewhere(facts, &known) {
        Some((location, stamp)) => {
            // What was readable a moment ago is readable now, and what was written can be written again.
            let merged = with_location(value, location, stamp, form).unwrap_or_else(|| Arc::clone(value));
            Some(held(shard, &merged, Settled::No))
        }
        None => Some(held(shard, value, Settled::Yes)),
    }
}

/// The copy whose content counts.
fn winner<'a>(known: &[(u32, &'a Arc<Value>, &'a Facts)]) -> Option<(u32, &'a Arc<Value>, &'a Facts)> {
    let is_replaced = |value: &Value| {
        let fingerprint = value.fingerprint();
        let replaced = known.iter().filter_map(|(_, _, facts)| facts.stamps.as_ref()?.replaces.as_ref());
        replaced.into_iter().any(|replaced| *replaced == fingerprint)
    };
    if known.len() < 2 {
        return known.first().copied();
    }
    let foreign = known.iter().filter(|(_, value, facts)| facts.stamps.is_none() && !is_replaced(value));
    let stamped = known.iter().filter_map(|copy| Some((copy, copy.2.stamps.as_ref()?.content)));
    foreign
        .min_by_key(|(shard, ..)| *shard)
        .or_else(|| stamped.max_by_key(|(copy, stamp)| (*stamp, Reverse(copy.0))).map(|(copy, _)| copy))
        .or_else(|| known.first())
        .copied()
}

/// The location that counts, where the copy whose content counts has another one.
fn location_elsewhere<'a>(
    winner: &Facts,
    known: &[(u32, &'a Arc<Value>, &'a Facts)],
) -> Option<(Option<&'a ImportedLocation>, u64)> {
    let own = match &winner.stamps {
        Some(stamps) => stamps.location,
        None if winner.listed.location.is_some() => return None,
        None => 0,
    };
    let stamped = known.iter().filter_map(|(_, _, facts)| Some((facts.stamps.as_ref()?.location, *facts)));
    let (stamp, newest) = stamped.filter(|(stamp, _)| *stamp > own).max_by_key(|(stamp, _)| *stamp)?;
    let location = newest.listed.location.as_ref();
    (location != winner.listed.location.as_ref()).then_some((location, stamp))
}

fn with_location(value: &Value, location: Option<&ImportedLocation>, stamp: u64, form: Form) -> Option<Arc<Value>> {
    let mut decoded = value.decode().ok()?;
    let stamps = decoded.stamps.take();
    decoded.stamps = Some(Stamps { location: stamp, ..stamps_over(value, stamps) });
    decoded.entry.location = location.cloned();
    Value::encoded(decoded, form).ok().map(Arc::new)
}

/// An entry as it is, to be kept in another ConfigMap.
pub(super) fn moved(value: &Value) -> Result<Decoded, String> {
    let mut decoded = value.decode()?;
    let stamps = decoded.stamps.take();
    decoded.stamps = Some(stamps_over(value, stamps));
    Ok(decoded)
}

/// The stamps of an entry that is new.
pub(super) fn first_stamps(now: u64) -> Stamps {
    Stamps { content: now, ..Stamps::default() }
}

/// The stamps of what is written over a value: its own or, where it has none, that it is the one replaced.
pub(super) fn stamps_over(value: &Value, stamps: Option<Stamps>) -> Stamps {
    stamps.unwrap_or_else(|| Stamps { replaces: Some(value.fingerprint()), ..Stamps::default() })
}

/// The stamps of new content, written over `stored`.
pub(super) fn content_stamps(now: u64, held: &Held, stored: &Decoded) -> Stamps {
    Stamps { content: now.max(held.newest.saturating_add(1)), ..stamps_over(&held.value, stored.stamps.clone()) }
}

/// The stamps of a new location, written over `stored`.
pub(super) fn location_stamps(now: u64, held: &Held, stored: &Decoded) -> Stamps {
    Stamps { location: now.max(held.newest.saturating_add(1)), ..stamps_over(&held.value, stored.stamps.clone()) }
}

fn newest_stamp(facts: &Facts) -> u64 {
    facts.stamps.as_ref().map_or(0, |stamps| stamps.content.max(stamps.location))
}

#[cfg(test)]
mod tests {
    use bridge_api::{PostBody, ReconcilerType};
    use serde_json::Map;

    use super::super::super::StoredEntry;
    use super::*;

    fn key() -> EntryKey {
        "granite_v1".parse().unwrap()
    }

    fn value(body: &str, location: Option<&str>, stamps: impl Into<Option<Stamps>>) -> Arc<Value> {
        let post = PostBody { body: body.as_bytes().to_vec(), ..PostBody::default() };
        let location = location.map(|id| ImportedLocation { id: id.to_owned(), target: "t".to_owned(), told: None });
        let entry = StoredEntry { location, ..StoredEntry::new(ReconcilerType::Kubeflow, post) };
        let decoded = Decoded { entry, stamps: stamps.into(), foreign: Map::new() };
        Arc::new(Value::encoded(decoded, Form::Readable).unwrap())
    }

    fn stamps(content: u64, location: u64) -> Stamps {
        Stamps { content, location, replaces: None }
    }

    /// Where it is, its content and its location; the same for any order of the copies.
    fn counts(copies: &[Copy]) -> (u32, String, Option<String>) {
        let read = |copies: &[Copy]| {
            let held = resolve(&key(), copies, Form::Readable).unwrap();
            let entry = held.value.decode().unwrap().entry;
            (held.shard, String::from_utf8(entry.body).unwrap(), entry.location.map(|location| location.id))
        };
        let reversed: Vec<Copy> = copies.iter().rev().cloned().collect();
        assert_eq!(read(copies), read(&reversed));
        read(copies)
    }

    #[test]
    fn the_newest_content_counts_with_the_newest_location() {
        let (old, new) = (value("old", Some("a"), stamps(5, 5)), value("new", None, stamps(9, 3)));
        assert_eq!(counts(&[(0, Arc::clone(&old)), (2, new)]), (2, "new".to_owned(), Some("a".to_owned())));
        let taken_back = value("new", None, stamps(9, 8));
        assert_eq!(counts(&[(0, old), (2, taken_back)]), (2, "new".to_owned(), None));
        let alike = value("b", None, stamps(5, 5));
        assert_eq!(counts(&[(3, value("a", None, stamps(5, 5))), (1, alike)]).0, 1);
    }

    #[test]
    fn what_a_go_bridge_wrote_is_older_than_what_replaced_it_and_newer_than_all_else() {
        let go = value("go", None, None);
        let replacing = Stamps { content: 9, location: 0, replaces: Some(go.fingerprint()) };
        let ours = value("ours", None, replacing);
        assert_eq!(counts(&[(0, go), (1, Arc::clone(&ours))]).1, "ours");
        assert_eq!(counts(&[(0, value("go again", None, None)), (1, ours)]).1, "go again");
        let located = value("ours", Some("a"), stamps(1, 2));
        let expected = (0, "go".to_owned(), Some("a".to_owned()));
        assert_eq!(counts(&[(0, value("go", None, None)), (1, located)]), expected);
    }

    #[test]
    fn a_stamp_that_nothing_follows_is_written_over() {
        let last = value("a", None, stamps(u64::MAX, u64::MAX));
        let held = resolve(&key(), &[(0, Arc::clone(&last))], Form::Readable).unwrap();
        let stored = last.decode().unwrap();
        assert_eq!(content_stamps(1, &held, &stored).content, u64::MAX);
        assert_eq!(location_stamps(1, &held, &stored).location, u64::MAX);
    }

    #[test]
    fn what_can_be_read_counts() {
        let broken = Arc::new(Value::new(b"{".to_vec()));
        assert_eq!(counts(&[(0, Arc::clone(&broken)), (4, value("a", None, None))]).0, 4);
        let held = resolve(&key(), &[(2, Arc::clone(&broken)), (1, broken)], Form::Readable).unwrap();
        assert_eq!(held.shard, 1);
        assert!(resolve(&key(), &[], Form::Readable).is_none());
    }
}
