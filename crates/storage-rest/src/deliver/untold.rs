//! What the changes come from of which Backstage is still to be told, so that the requests that tell it belong to the same
//! traces.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bridge_api::EntryKey;
use service::telemetry::Cause;

use super::lock;

/// More is not remembered: what goes beyond it is told all the same, and not traced.
const REMEMBERED: usize = 10_000;

/// Changes that location has taken and Backstage was not told of, as far as they are traced.
#[derive(Debug, Default)]
pub struct Untold(Mutex<BTreeMap<EntryKey, Cause>>);

impl Untold {
    /// Location has taken a change.
    pub(super) fn note(&self, key: EntryKey, cause: Cause) {
        let mut causes = lock(&self.0);
        if cause.is_known() && (causes.len() < REMEMBERED || causes.contains_key(&key)) {
            causes.insert(key, cause);
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeMap<EntryKey, Cause> {
        lock(&self.0).clone()
    }

    /// Backstage was told of a change, unless another one came in between.
    pub(super) fn told(&self, key: &EntryKey, cause: &Cause) {
        let mut causes = lock(&self.0);
        if causes.get(key) == Some(cause) {
            causes.remove(key);
        }
    }
}
