//! What is still to be done, key by key: at most one request a key at a time, failures wait for their time, and a key
//! that is not taken holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bridge_api::EntryKey;
use tokio::time::Instant;

/// Why a key waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Something went wrong that may pass.
    Failed,
    /// The target does not take it.
    Rejected,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    cause: Cause,
}

/// The keys to look at.
#[derive(Debug, Default)]
pub(super) struct Work {
    queue: BTreeSet<EntryKey>,
    under_way: BTreeSet<EntryKey>,
    waiting: BTreeMap<EntryKey, Waiting>,
    failures: BTreeMap<EntryKey, u32>,
}

impl Work {
    /// These have changed: look at them at once, whatever happened to them before.
    pub(super) fn touch(&mut self, keys: impl IntoIterator<Item = EntryKey>) {
        for key in keys {
            self.waiting.remove(&key);
            self.failures.remove(&key);
            self.queue.insert(key);
        }
    }

    /// Exactly these differ. Those that wait go on waiting, and whatever else waits has settled itself.
    pub(super) fn replace(&mut self, differing: BTreeSet<EntryKey>) {
        self.waiting.retain(|key, _| differing.contains(key));
        self.failures.retain(|key, _| differing.contains(key));
        self.queue.extend(differing.into_iter().filter(|key| !self.waiting.contains_key(key)));
    }

    /// The next key to deal with, which is under way from now on.
    pub(super) fn start_next(&mut self) -> Option<EntryKey> {
        let key = self.queue.iter().find(|key| !self.under_way.contains(*key))?.clone();
        self.queue.remove(&key);
        self.under_way.insert(key.clone());
        Some(key)
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn done(&mut self, key: &EntryKey) {
        self.under_way.remove(key);
        self.failures.remove(key);
    }

    /// Counts a failure of a key that was under way; how many in a row there are now.
    pub(super) fn count_failure(&mut self, key: &EntryKey) -> u32 {
        let failures = self.failures.entry(key.clone()).or_default();
        *failures += 1;
        *failures
    }

    /// A key that was under way is to be looked at again after `wait`, or at once when it was touched meanwhile.
    pub(super) fn again(&mut self, key: EntryKey, cause: Cause, wait: Duration) {
        self.under_way.remove(&key);
        if !self.queue.contains(&key) {
            self.waiting.insert(key, Waiting { until: Instant::now() + wait, cause });
        }
    }

    /// The target is back: what failed because it was away need not wait longer.
    pub(super) fn target_is_back(&mut self) {
        let failed = self.waiting.extract_if(.., |_, waiting| waiting.cause == Cause::Failed);
        self.queue.extend(failed.map(|(key, _)| key));
    }

    /// When the next key has waited long enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.until).min()
    }

    /// Queues what has waited long enough.
    pub(super) fn wake_due(&mut self, now: Instant) {
        let due = self.waiting.extract_if(.., |_, waiting| waiting.until <= now);
        self.queue.extend(due.map(|(key, _)| key));
    }

    /// How many keys are not settled.
    pub(super) fn len(&self) -> usize {
        // Few are under way and many may be queued, and this is asked with every step.
        let counted_twice = self.under_way.iter().filter(|key| self.queue.contains(*key)).count();
        self.queue.len() - counted_twice + self.under_way.len() + self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> EntryKey {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_that_is_under_way_is_not_started_again_until_it_is_done() {
        let mut work = Work::default();
        work.touch([key("a_1"), key("b_1")]);
        assert_eq!(work.start_next(), Some(key("a_1")));
        work.touch([key("a_1")]);
        assert_eq!(work.start_next(), Some(key("b_1")));
        assert_eq!(work.start_next(), None);
        assert_eq!(work.len(), 2);
        work.done(&key("a_1"));
        assert_eq!(work.start_next(), Some(key("a_1")));
    }

    #[test]
    fn a_rejected_key_waits_while_others_go_on_and_a_change_ends_its_wait() {
        let mut work = Work::default();
        work.touch([key("a_1")]);
        work.start_next();
        work.again(key("a_1"), Cause::Rejected, Duration::from_mins(1));
        work.replace(BTreeSet::from([key("a_1"), key("b_1")]));
        work.target_is_back();
        assert_eq!(work.start_next(), Some(key("b_1")));
        assert_eq!(work.start_next(), None);
        work.touch([key("a_1")]);
        assert_eq!(work.start_next(), Some(key("a_1")));
    }

    #[test]
    fn what_failed_is_tried_again_when_its_time_has_come_or_the_target_is_back() {
        let mut work = Work::default();
        work.touch([key("a_1")]);
        work.start_next();
        assert_eq!(work.count_failure(&key("a_1")), 1);
        work.again(key("a_1"), Cause::Failed, Duration::from_mins(1));
        assert_eq!(work.start_next(), None);
        work.wake_due(Instant::now() + Duration::from_secs(61));
        assert_eq!(work.start_next(), Some(key("a_1")));
        assert_eq!(work.count_failure(&key("a_1")), 2);
        work.again(key("a_1"), Cause::Failed, Duration::from_mins(1));
        work.target_is_back();
        assert_eq!(work.start_next(), Some(key("a_1")));
    }
}
