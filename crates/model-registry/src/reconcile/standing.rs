//! Whether the records of all clusters are kept, as `/readyz` says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use service::Readiness;

/// Clones share what they know.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    readiness: Readiness,
    /// What is wrong, by the cluster's name.
    problems: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Standing {
    /// Of these clusters none has been compared yet.
    pub(super) fn new<'a>(clusters: impl Iterator<Item = &'a str>) -> Self {
        let not_yet = |name: &str| (name.to_owned(), "its InferenceServices were not compared yet".to_owned());
        let standing = Self {
            readiness: Readiness::not_ready("nothing was compared yet"),
            problems: Arc::new(Mutex::new(clusters.map(not_yet).collect())),
        };
        standing.change(|_| {});
        standing
    }

    /// For `/readyz`.
    pub(super) fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// A cluster's records are as they should be.
    pub(super) fn well(&self, cluster: &str) {
        self.change(|problems| drop(problems.remove(cluster)));
    }

    /// A cluster's records can't be kept.
    pub(super) fn failed(&self, cluster: &str, problem: String) {
        self.change(|problems| drop(problems.insert(cluster.to_owned(), problem)));
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut problems);
        if problems.is_empty() {
            self.readiness.set_ready();
        } else {
            let all: Vec<String> = problems.iter().map(|(cluster, problem)| format!("{cluster}: {problem}")).collect();
            self.readiness.set_not_ready(all.join("; "));
        }
    }
}
