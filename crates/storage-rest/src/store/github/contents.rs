//! The contents of files by their ids, and the digests of entries: kept as long as there is room, since what an id stands
//! for never changes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridge_api::Digest;
use bytes::Bytes;

/// How much content is kept in memory.
const ROOM: usize = 64 << 20;
const MOST_DIGESTS: usize = 100_000;

/// What an entry's digest is taken from: document, model card, and the card's key.
pub(super) type Sources = (Arc<str>, Option<Arc<str>>, String);

/// What is known by its id.
#[derive(Debug, Default)]
pub(super) struct Contents {
    blobs: Mutex<Blobs>,
    digests: Mutex<HashMap<Sources, Digest>>,
}

#[derive(Debug, Default)]
struct Blobs {
    by_id: HashMap<Arc<str>, Bytes>,
    in_order: VecDeque<Arc<str>>,
    size: usize,
}

impl Contents {
    pub(super) fn get(&self, sha: &str) -> Option<Bytes> {
        lock(&self.blobs).by_id.get(sha).cloned()
    }

    pub(super) fn keep(&self, sha: &Arc<str>, bytes: Bytes) {
        let mut blobs = lock(&self.blobs);
        if bytes.len() > ROOM || blobs.by_id.contains_key(sha) {
            return;
        }
        blobs.size += bytes.len();
        blobs.by_id.insert(Arc::clone(sha), bytes);
        blobs.in_order.push_back(Arc::clone(sha));
        while blobs.size > ROOM {
            let Some(oldest) = blobs.in_order.pop_front() else { break };
            blobs.size -= blobs.by_id.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }

    pub(super) fn digest(&self, sources: &Sources) -> Option<Digest> {
        lock(&self.digests).get(sources).cloned()
    }

    pub(super) fn keep_digest(&self, sources: Sources, digest: Digest) {
        let mut digests = lock(&self.digests);
        if digests.len() >= MOST_DIGESTS {
            digests.clear();
        }
        digests.insert(sources, digest);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_makes_room() {
        let contents = Contents::default();
        let third = Bytes::from(vec![0; ROOM / 3]);
        for id in ["a", "b", "c", "d"] {
            contents.keep(&Arc::from(id), third.clone());
        }
        contents.keep(&Arc::from("huge"), Bytes::from(vec![0; ROOM + 1]));
        let there: Vec<bool> = ["a", "b", "c", "d", "huge"].map(|id| contents.get(id).is_some()).to_vec();
        assert_eq!(there, [false, true, true, true, false]);
    }
}
