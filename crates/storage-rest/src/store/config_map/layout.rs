//! How entries are spread over ConfigMaps: their names and marks, how much goes into one, and whether a Go bridge is to
//! find everything in the first.

use std::str::FromStr;

use bridge_api::EntryKey;

/// The name of the first ConfigMap, the Go bridge's. Further ones have a number after it.
pub const CONFIG_MAP_NAME: &str = "bac-import-model";

/// The label of the ConfigMaps that hold entries.
pub const STORE_LABEL: (&str, &str) = ("modelcatalogbridge.rhdh.io/store", "entries");

/// The label of what is the bridge's.
pub(super) const MANAGED_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "model-catalog-bridge");

/// The annotation of the first ConfigMap that says how far the numbers of the others go.
pub(super) const SHARDS: &str = "modelcatalogbridge.rhdh.io/shards";

/// The annotation of a first ConfigMap that began empty and is being filled.
pub(super) const FILLING: &str = "modelcatalogbridge.rhdh.io/filling";

/// What the Kubernetes API lets the values of a ConfigMap sum up to.
pub(super) const LIMIT: usize = 1024 * 1024;

/// When the first ConfigMap counts as full while a Go bridge may still take it over, and needs some room then.
pub(super) const FULL: usize = LIMIT / 8 * 7;

/// What an object with its keys and metadata may come to, as etcd takes 1.5 MiB.
const WEIGHT_LIMIT: usize = 1408 * 1024;

/// Whether a Go bridge is to find the entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GoCompatible {
    /// While they fit into the first ConfigMap.
    #[default]
    Auto,
    /// Always: what does not fit into the first ConfigMap is refused.
    Always,
    /// Never.
    Never,
}

/// The text is no [`GoCompatible`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use auto, true or false")]
pub struct NotGoCompatible;

impl FromStr for GoCompatible {
    type Err = NotGoCompatible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "true" | "yes" | "on" | "1" => Ok(Self::Always),
            "false" | "no" | "off" | "0" => Ok(Self::Never),
            _ => Err(NotGoCompatible),
        }
    }
}

impl std::fmt::Display for GoCompatible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Always => "true",
            Self::Never => "false",
        })
    }
}

/// How much goes where.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Whether a Go bridge is to find the entries.
    pub go_compatible: GoCompatible,
    /// A ConfigMap takes new entries up to this size, and lets its own grow to twice that. Each write makes the API
    /// store the whole ConfigMap anew (and etcd keeps the old one for minutes), so it is well below what fits.
    pub shard_bytes: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self { go_compatible: GoCompatible::default(), shard_bytes: 256 * 1024 }
    }
}

/// How much is in a ConfigMap.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Size {
    /// The values, as the API counts them.
    pub(super) values: usize,
    /// With what their keys take, in the object and in its `managedFields`.
    pub(super) weight: usize,
    /// How many entries.
    pub(super) entries: usize,
}

impl Size {
    /// A value under a key.
    pub(super) fn of(key: &EntryKey, length: usize) -> Self {
        Self { values: length, weight: length + key_weight(key.as_str()), entries: 1 }
    }

    /// What is no entry.
    pub(super) fn foreign(key: &str, length: usize) -> Self {
        Self { values: length, weight: length + key_weight(key), entries: 0 }
    }

    /// Whether a ConfigMap can be as large.
    pub(super) fn fits(&self) -> bool {
        self.values <= LIMIT && self.weight <= WEIGHT_LIMIT
    }
}

impl std::ops::Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            values: self.values + other.values,
            weight: self.weight + other.weight,
            entries: self.entries + other.entries,
        }
    }
}

impl std::ops::Sub for Size {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            values: self.values.saturating_sub(other.values),
            weight: self.weight.saturating_sub(other.weight),
            entries: self.entries.saturating_sub(other.entries),
        }
    }
}

fn key_weight(key: &str) -> usize {
    2 * key.len() + 24
}

/// The name of a ConfigMap by its number; the first is 0.
pub(super) fn name_of(number: u32) -> String {
    match number {
        0 => CONFIG_MAP_NAME.to_owned(),
        number => format!("{CONFIG_MAP_NAME}-{number}"),
    }
}

/// The number of a ConfigMap, if it has the name of one of ours.
pub(super) fn number_of(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(CONFIG_MAP_NAME)?;
    if rest.is_empty() {
        return Some(0);
    }
    let number = rest.strip_prefix('-')?.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

/// Picks the ConfigMaps that hold entries.
pub(super) fn label_selector() -> String {
    format!("{}={}", STORE_LABEL.0, STORE_LABEL.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_those_that_only_look_like_ours() {
        for number in [0, 1, 42] {
            assert_eq!(number_of(&name_of(number)), Some(number));
        }
        for other in ["bac-import-models", "bac-import-model-", "bac-import-model-0", "bac-import-model-01", "x"] {
            assert_eq!(number_of(other), None, "{other}");
        }
        assert_eq!(number_of("bac-import-model-backup"), None);
        assert_eq!(number_of("bac-import-model-+1"), None);
    }

    #[test]
    fn compatibility_is_a_word_or_a_switch() {
        for text in ["auto", "true", "false"] {
            assert_eq!(text.parse::<GoCompatible>().unwrap().to_string(), text);
        }
        assert_eq!("False ".parse(), Ok(GoCompatible::Never));
        assert_eq!("perhaps".parse::<GoCompatible>(), Err(NotGoCompatible));
    }
}
