//! What could not be written because it makes no sense to the registry or to the cluster: it is said once, and not tried again
//! until something about it changes, or everything is read anew.

use std::collections::HashMap;

use super::plan::Step;

/// What was refused, and why.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<(String, String), Refusal>);

#[derive(Debug)]
struct Refusal {
    reason: String,
    /// Whether it is not to be tried again yet.
    stands: bool,
}

impl Refusals {
    /// Whether a step need not be tried.
    pub(super) fn stand_against(&self, step: &Step) -> bool {
        self.0.get(&key(step)).is_some_and(|refusal| refusal.stands)
    }

    /// Notes that a step was refused.
    pub(super) fn add(&mut self, step: &Step, reason: &str) {
        let before = self.0.insert(key(step), Refusal { reason: reason.to_owned(), stands: true });
        if before.is_none_or(|before| before.reason != reason) {
            tracing::warn!("{}: {reason}", step.undone());
        }
    }

    /// From now on everything is tried once more.
    pub(super) fn reconsider(&mut self) {
        self.0.values_mut().for_each(|refusal| refusal.stands = false);
    }

    /// Forgets what was not refused again.
    pub(super) fn settle(&mut self) {
        self.0.retain(|_, refusal| refusal.stands);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn key(step: &Step) -> (String, String) {
    (step.subject().to_owned(), step.fingerprint())
}
