//! What a healthy reading shows, now and since when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use sample_registry::SampleRegistry;
use serde_json::Value;
use testkit::kube::KubeApi;

/// The names of an entry: model and version, or namespace and service.
pub(crate) type Names = (String, String);

/// The history of the truth, told after each edit.
#[derive(Clone, Default)]
pub(crate) struct Truth(Arc<Mutex<History>>);

#[derive(Default)]
struct History {
    /// Counts edits.
    step: u64,
    /// Since which step an entry is shown without a break.
    since: BTreeMap<Names, u64>,
}

impl Truth {
    fn history(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap()
    }

    /// The step of this moment.
    pub(crate) fn step(&self) -> u64 {
        self.history().step
    }

    /// Tells that something was edited.
    pub(crate) fn tell(&self, shown: &BTreeSet<Names>) {
        let mut history = self.history();
        history.step += 1;
        let step = history.step;
        history.since.retain(|names, _| shown.contains(names));
        for names in shown {
            history.since.entry(names.clone()).or_insert(step);
        }
    }

    /// Since which step an entry is shown without a break; `None` when it is not shown.
    pub(crate) fn shown_since(&self, names: &Names) -> Option<u64> {
        self.history().since.get(names).copied()
    }
}

/// What a healthy reading shows: the entries, and which of them a service serves.
pub(crate) fn healthy(registry: &SampleRegistry, cluster: &KubeApi) -> BTreeMap<Names, bool> {
    let mut shown: BTreeMap<Names, bool> =
        registry.live_versions().into_iter().map(|(model, version)| ((model, version), false)).collect();
    for service in cluster.list_objects("InferenceService") {
        let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let ready = service["status"]["conditions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
        let annotations = &service["metadata"]["annotations"];
        let served = annotations["test/model"].as_str().zip(annotations["test/version"].as_str());
        match served {
            Some((model, version)) => {
                if let Some(is_served) = shown.get_mut(&(model.to_owned(), version.to_owned())) {
                    *is_served |= ready;
                }
            }
            None if ready => {
                shown.insert((text("/metadata/namespace"), text("/metadata/name")), true);
            }
            None => {}
        }
    }
    shown
}
