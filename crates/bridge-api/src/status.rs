//! What the normalizer says of itself at `GET /status`. Ours alone; whoever reads it takes what is missing for nothing, since
//! the two may be of different versions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the normalizer knows and what it waits for. Times are as RFC 3339 has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NormalizerStatus {
    /// Registries and clusters, by their names.
    pub sources: BTreeMap<String, SourceReport>,
    /// When storage was last brought in step.
    pub last_sync: Option<String>,
    /// Why it could not be since.
    pub failure: Option<String>,
    /// Entries of the last projection.
    pub entries: usize,
    /// The same, by source.
    pub entries_by_source: BTreeMap<String, usize>,
    /// Removals that wait for a second complete read.
    pub held_removals: Vec<HeldReport>,
    /// Entries that storage refused, and why.
    pub refused: Vec<String>,
    /// What could not be shown as it was given, and why.
    pub diagnostics: Vec<DiagnosticReport>,
}

/// How well a source is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SourceReport {
    /// Whether what is known may be older than it should be.
    pub stale: bool,
    /// When it was last read, completely or for what is new.
    pub last_read: Option<String>,
    /// When it was last read completely.
    pub last_complete_read: Option<String>,
    /// How often it was read completely since the normalizer's start.
    pub complete_reads: u64,
    /// How many records it holds.
    pub records: usize,
    /// Why the last attempt failed.
    pub failure: Option<String>,
}

/// A removal that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeldReport {
    /// The source whose entries they are.
    pub source: String,
    /// How many there are.
    pub entries: usize,
    /// Since when they wait.
    pub since: String,
}

/// What could not be shown as it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DiagnosticReport {
    /// The registry or cluster.
    pub source: String,
    /// The model and version, or the namespace and service.
    pub subject: String,
    /// What was left out, and the rule behind it.
    pub problem: String,
}
