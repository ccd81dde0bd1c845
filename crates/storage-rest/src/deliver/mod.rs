//! Delivery: what storage holds is made true in location and in Backstage, from storage, for as long as it takes.
//!
//! Both deliveries are level-triggered. Upserts and removals only say which keys to look at again; what is delivered
//! is always what the store holds at that moment, and a full comparison now and then finds whatever was missed.

pub mod backstage;
pub mod location;
mod untold;
mod work;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridge_api::{Digest, EntryKey};
use service::telemetry::Cause;
use tokio::sync::Notify;

pub use self::untold::Untold;

/// How patient delivery is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The wait after a first failure; each further one is twice as long.
    pub first_wait: Duration,
    /// The longest wait after a failure.
    pub longest_wait: Duration,
    /// How often everything is compared, and what a target does not take is tried again.
    pub resync: Duration,
    /// How many requests to one target are under way at once.
    pub concurrency: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(30),
            resync: Duration::from_mins(1),
            concurrency: 8,
        }
    }
}

impl Pace {
    /// The wait after so many failures in a row: doubled each time, with up to a quarter taken off at random, so that
    /// those who failed together do not come back together.
    pub(crate) fn wait(&self, failures: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20)));
        doubled.min(self.longest_wait).mul_f64(rand::random_range(0.75..=1.0))
    }
}

/// Whether what the store holds may be taken for the whole: it began with entries, or was told a key set since. A store
/// that began with nothing and is being filled proves of nothing that it is gone. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Settled(Arc<AtomicBool>);

impl Settled {
    /// Whether what the store lacks is gone.
    pub fn is_settled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// From now on the store is, or is not, the whole.
    pub fn set(&self, settled: bool) {
        self.0.store(settled, Ordering::Release);
    }
}

/// What is known of a change besides that it is one. It is kept in memory only: what is delivered after a restart is
/// delivered all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// When it happened, in milliseconds since 1970.
    pub at: Option<i64>,
    /// What it comes from.
    pub cause: Cause,
}

/// Keys whose entries were written or removed since delivery last looked.
#[derive(Debug, Default)]
pub struct Touched {
    keys: Mutex<BTreeMap<EntryKey, Change>>,
    wake: Notify,
}

impl Touched {
    /// These have changed.
    pub fn touch(&self, keys: impl IntoIterator<Item = EntryKey>) {
        let change = Change { cause: Cause::current(), ..Change::default() };
        lock(&self.keys).extend(keys.into_iter().map(|key| (key, change.clone())));
        self.wake.notify_one();
    }

    /// This has changed, by that change.
    pub fn change(&self, key: EntryKey, change: Change) {
        lock(&self.keys).insert(key, change);
        self.wake.notify_one();
    }

    /// Waits until something has changed, and takes it.
    async fn next(&self) -> BTreeMap<EntryKey, Change> {
        loop {
            let keys = std::mem::take(&mut *lock(&self.keys));
            if !keys.is_empty() {
                return keys;
            }
            self.wake.notified().await;
        }
    }
}

/// Which entries location holds, as far as storage knows.
#[derive(Debug, Default)]
pub struct Held {
    known: Mutex<Known>,
    changed: Notify,
}

#[derive(Debug, Default)]
enum Known {
    /// Location has not told yet.
    #[default]
    Nothing,
    /// Location is reading storage, so it will hold what storage held.
    Assumed(BTreeMap<EntryKey, Digest>),
    /// Location has told, and what was delivered since is counted in.
    Confirmed(BTreeMap<EntryKey, Digest>),
}

impl Known {
    fn entries(&self) -> Option<&BTreeMap<EntryKey, Digest>> {
        match self {
            Self::Nothing => None,
            Self::Assumed(entries) | Self::Confirmed(entries) => Some(entries),
        }
    }

    fn entries_mut(&mut self) -> Option<&mut BTreeMap<EntryKey, Digest>> {
        match self {
            Self::Nothing => None,
            Self::Assumed(entries) | Self::Confirmed(entries) => Some(entries),
        }
    }
}

impl Held {
    /// What is held; `None` until location has told.
    pub fn confirmed(&self) -> Option<BTreeMap<EntryKey, Digest>> {
        match &*lock(&self.known) {
            Known::Confirmed(entries) => Some(entries.clone()),
            Known::Nothing | Known::Assumed(_) => None,
        }
    }

    /// Waits for a change since the last wait.
    async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Location has told what it holds.
    fn confirm(&self, entries: BTreeMap<EntryKey, Digest>) {
        *lock(&self.known) = Known::Confirmed(entries);
        self.changed.notify_one();
    }

    /// What is known or, where that is nothing, assumed from now on.
    fn assume_once(&self, assumed: impl FnOnce() -> BTreeMap<EntryKey, Digest>) -> BTreeMap<EntryKey, Digest> {
        let mut known = lock(&self.known);
        if let Some(entries) = known.entries() {
            return entries.clone();
        }
        let entries = assumed();
        *known = Known::Assumed(entries.clone());
        entries
    }

    /// Whether location has told, or was sent since, that it holds this. What is only assumed does not count: storage
    /// may have changed after location read it.
    fn surely_has(&self, key: &EntryKey, digest: &Digest) -> bool {
        matches!(&*lock(&self.known), Known::Confirmed(entries) if entries.get(key) == Some(digest))
    }

    /// This was delivered.
    fn set(&self, key: EntryKey, digest: Option<Digest>) {
        let mut known = lock(&self.known);
        let Some(entries) = known.entries_mut() else { return };
        match digest {
            Some(digest) => entries.insert(key, digest),
            None => entries.remove(&key),
        };
        self.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let pace = Pace::default();
        for (failures, longest) in [(1, 250), (2, 500), (3, 1000), (30, 30_000), (u32::MAX, 30_000)] {
            let wait = pace.wait(failures).as_millis();
            assert!(wait <= longest && wait >= longest * 3 / 4, "{failures}: {wait}");
        }
    }

    #[tokio::test]
    async fn what_was_touched_is_taken_once() {
        let touched = Touched::default();
        let key: EntryKey = "a_b".parse().unwrap();
        let change = Change { at: Some(1), ..Change::default() };
        touched.touch([key.clone()]);
        touched.change(key.clone(), change.clone());
        assert_eq!(touched.next().await, BTreeMap::from([(key, change)]));
        assert!(lock(&touched.keys).is_empty());
    }
}
