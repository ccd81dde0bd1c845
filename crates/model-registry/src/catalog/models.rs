//! What a catalog holds at one moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Map, Value};

/// All of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    /// In the order of the file.
    pub(super) sources: Vec<Source>,
    /// What labels are shown as.
    pub(super) labels: Vec<Map<String, Value>>,
    /// The files that were read, and what they were like then.
    pub(super) stamps: Stamps,
}

/// Files by their paths: when each was changed, and how long it is; `None` for one that is not there.
pub(super) type Stamps = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

/// A source of models.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) labels: Vec<String>,
    pub(super) included: Vec<String>,
    pub(super) excluded: Vec<String>,
    /// Why it can't be read, or not be read whole.
    pub(super) error: Option<String>,
    /// Its models by their names; none while it is disabled.
    pub(super) models: BTreeMap<String, Model>,
}

/// A model of a source.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// As the API answers it, without its artifacts.
    pub(super) shown: Map<String, Value>,
    /// As the API answers them.
    pub(super) artifacts: Vec<Map<String, Value>>,
}

impl Source {
    pub(super) fn status(&self) -> &'static str {
        match (&self.error, self.enabled, self.models.is_empty()) {
            (_, false, _) => "disabled",
            (None, true, _) => "available",
            (Some(_), true, false) => "partially-available",
            (Some(_), true, true) => "error",
        }
    }
}

impl Model {
    /// The text of a field, if it is one.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.shown.get(field)?.as_str()
    }

    /// Whether people who look for `words` may mean it.
    pub(super) fn is_like(&self, words: &str) -> bool {
        let words = words.to_lowercase();
        let like = |text: &str| text.to_lowercase().contains(&words);
        let tasks = self.shown.get("tasks").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        ["name", "description", "provider", "libraryName"].into_iter().filter_map(|field| self.text(field)).any(like)
            || tasks.into_iter().any(like)
    }
}
