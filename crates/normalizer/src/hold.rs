//! Holds back removals that are too large to be believed at once.
//!
//! A registry that answers wrongly but well-formed, or a label selector gone wrong, looks like the removal of half of what
//! there is. Such a removal waits until a second complete read of the source, an interval later, shows the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bridge_api::key::EntryKey;
use jiff::Timestamp;
use serde::Serialize;

/// Removals of up to so many entries of a source are never held.
const SMALL: usize = 10;

/// When a removal is held, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct HoldPolicy {
    /// Above which share of a source's entries a removal is held (`MASS_REMOVAL_SHARE`).
    pub share: f64,
    /// How long at least lies between the two reads that must agree (`POLLING_INTERVAL`).
    pub interval: Duration,
}

/// A source, as entries remember it; `None` for entries that remember none.
pub type Origin = Option<String>;

/// Removals that wait.
#[derive(Debug)]
pub struct Holds {
    policy: HoldPolicy,
    held: BTreeMap<Origin, Hold>,
}

#[derive(Debug, Clone)]
struct Hold {
    began: Instant,
    at: Timestamp,
    reads: u64,
    keys: BTreeSet<EntryKey>,
}

/// A removal that waits, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRemoval {
    /// The source whose entries they are.
    pub source: String,
    /// How many there are.
    pub entries: usize,
    /// Since when they wait.
    pub since: Timestamp,
}

/// What a source has to lose.
#[derive(Debug, Clone, Default)]
pub struct Loss {
    /// How many of its entries are stored.
    pub stored: usize,
    /// Those of them that are gone.
    pub gone: BTreeSet<EntryKey>,
    /// How often the source was read completely.
    pub reads: u64,
}

/// What became of the losses.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What may be removed.
    pub release: BTreeSet<EntryKey>,
    /// Sources of which a complete read is waited for.
    pub awaited: Vec<Origin>,
}

impl Holds {
    /// Holds back by `policy`.
    pub fn new(policy: HoldPolicy) -> Self {
        Self { policy, held: BTreeMap::new() }
    }

    /// What waits.
    pub fn held(&self) -> Vec<HeldRemoval> {
        let shown = |(source, hold): (&Origin, &Hold)| HeldRemoval {
            source: source.clone().unwrap_or_else(|| "unknown".to_owned()),
            entries: hold.keys.len(),
            since: hold.at,
        };
        self.held.iter().map(shown).collect()
    }

    /// Decides which of the losses may be removed now.
    pub fn judge(&mut self, losses: BTreeMap<Origin, Loss>, now: Instant) -> Verdict {
        let mut verdict = Verdict::default();
        self.held.retain(|source, _| losses.get(source).is_some_and(|loss| !loss.gone.is_empty()));
        for (source, loss) in losses {
            if !self.is_large(&loss) {
                self.held.remove(&source);
                verdict.release.extend(loss.gone);
                continue;
            }
            match self.held.get_mut(&source) {
                Some(hold)
                    if loss.reads > hold.reads
                        && now.duration_since(hold.began) >= self.policy.interval.mul_f64(0.9) =>
                {
                    let (agreed, new): (BTreeSet<_>, BTreeSet<_>) =
                        loss.gone.into_iter().partition(|key| hold.keys.contains(key));
                    tracing::warn!(
                        source = shown(&source),
                        entries = agreed.len(),
                        "a second complete read agrees: removed"
                    );
                    verdict.release.extend(agreed);
                    self.held.remove(&source);
                    if !new.is_empty() {
                        verdict.awaited.push(source.clone());
                        self.hold(source, new, loss.reads, now);
                    }
                }
                Some(hold) => {
                    // What has come back since is not lost; what is lost since waits for a read of its own.
                    hold.keys.retain(|key| loss.gone.contains(key));
                    verdict.awaited.push(source);
                }
                None => {
                    let (gone, stored) = (loss.gone.len(), loss.stored);
                    tracing::error!(
                        source = shown(&source),
                        gone,
                        stored,
                        "a large part of a source is gone at once: nothing of it is removed until a second complete read agrees"
                    );
                    verdict.awaited.push(source.clone());
                    self.hold(source, loss.gone, loss.reads, now);
                }
            }
        }
        verdict
    }

    fn hold(&mut self, source: Origin, keys: BTreeSet<EntryKey>, reads: u64, now: Instant) {
        self.held.insert(source, Hold { began: now, at: Timestamp::now(), reads, keys });
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of entries are far below 2^52")]
    fn is_large(&self, loss: &Loss) -> bool {
        loss.gone.len() > SMALL && loss.gone.len() as f64 > self.policy.share * loss.stored as f64
    }
}

fn shown(source: &Origin) -> &str {
    source.as_deref().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u32>) -> BTreeSet<EntryKey> {
        range.map(|n| format!("m{n}_v1").parse().unwrap()).collect()
    }

    fn lost(stored: usize, gone: std::ops::Range<u32>, reads: u64) -> BTreeMap<Origin, Loss> {
        BTreeMap::from([(Some("r".to_owned()), Loss { stored, gone: keys(gone), reads })])
    }

    fn holds() -> Holds {
        Holds::new(HoldPolicy { share: 0.5, interval: Duration::from_mins(2) })
    }

    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

    fn after(seconds: u64) -> Instant {
        *START + Duration::from_secs(seconds)
    }

    #[test]
    fn small_removals_and_small_shares_go_at_once() {
        assert_eq!(holds().judge(lost(10, 0..10, 1), after(0)).release.len(), 10);
        assert_eq!(holds().judge(lost(40, 0..20, 1), after(0)).release.len(), 20);
    }

    #[test]
    fn a_large_removal_waits_for_a_second_complete_read_an_interval_later() {
        let mut holds = holds();
        assert_eq!(holds.judge(lost(20, 0..11, 1), after(0)).release.len(), 0);
        assert_eq!(holds.held()[0].entries, 11);
        assert_eq!(holds.judge(lost(20, 0..11, 2), after(60)).release.len(), 0, "too soon");
        assert_eq!(holds.judge(lost(20, 0..11, 1), after(120)).release.len(), 0, "no other read");
        let verdict = holds.judge(lost(20, 0..11, 3), after(120));
        assert_eq!(verdict.release.len(), 11);
        assert!(verdict.awaited.is_empty() && holds.held().is_empty());
    }

    #[test]
    fn what_comes_back_is_not_removed_and_what_goes_later_waits_for_itself() {
        let mut holds = holds();
        holds.judge(lost(20, 0..15, 1), after(0));
        assert_eq!(holds.judge(lost(20, 0..0, 2), after(120)).release.len(), 0);
        assert!(holds.held().is_empty(), "a healthy read ends the hold");
        holds.judge(lost(20, 0..11, 2), after(120));
        let verdict = holds.judge(lost(20, 0..15, 3), after(240));
        assert_eq!(verdict.release, keys(0..11));
        assert_eq!(holds.held()[0].entries, 4);
    }
}
