//! What the normalizer counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::Metrics;

use crate::inventory::SourceId;
use crate::observe::Read;

/// A registry or a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// How something ended, by source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceOutcome {
    source: String,
    kind: &'static str,
    outcome: &'static str,
}

/// Metrics of the sources.
#[derive(Debug, Clone)]
pub struct SourceMetrics {
    reads: Family<SourceOutcome, Counter>,
    records: Family<SourceLabel, Gauge>,
    stale: Family<SourceLabel, Gauge>,
}

impl SourceMetrics {
    fn new(metrics: &Metrics) -> Self {
        Self {
            reads: metrics.register("source_reads", "Reads of a registry, by kind and outcome", Family::default()),
            records: metrics.register("source_records", "Model versions that a registry holds", Family::default()),
            stale: metrics.register("source_stale", "1 while the last read of a registry failed", Family::default()),
        }
    }

    /// A registry was read.
    pub fn read(&self, source: &SourceId, read: Read, records: usize) {
        let kind = match read {
            Read::Complete => "complete",
            Read::Increment => "increment",
        };
        let label = SourceLabel { source: source.to_string() };
        self.reads.get_or_create(&SourceOutcome { source: source.to_string(), kind, outcome: "ok" }).inc();
        self.records.get_or_create(&label).set(i64::try_from(records).unwrap_or(i64::MAX));
        self.stale.get_or_create(&label).set(0);
    }

    /// A registry could not be read.
    pub fn failed(&self, source: &SourceId) {
        self.reads.get_or_create(&SourceOutcome { source: source.to_string(), kind: "any", outcome: "failed" }).inc();
        self.stale.get_or_create(&SourceLabel { source: source.to_string() }).set(1);
    }

    /// A registry is no longer read.
    pub fn forget(&self, source: &SourceId) {
        let label = SourceLabel { source: source.to_string() };
        self.records.remove(&label);
        self.stale.remove(&label);
    }
}

/// Metrics of the normalizer.
#[derive(Debug, Clone)]
pub struct NormalizerMetrics {
    /// Of the sources.
    pub sources: SourceMetrics,
    upserts: Family<OutcomeLabel, Counter>,
    syncs: Family<OutcomeLabel, Counter>,
    /// Entries of the last projection.
    pub entries: Gauge,
    /// Diagnostics of the last projection.
    pub diagnostics: Gauge,
    /// Entries that were taken out of the key set.
    pub removals: Counter,
    /// Entries whose removal waits to be believed.
    pub held: Gauge,
}

impl NormalizerMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            sources: SourceMetrics::new(metrics),
            upserts: metrics.register("upserts", "Entries sent to storage, by outcome", Family::default()),
            syncs: metrics.register("syncs", "Attempts to bring storage in step, by outcome", Family::default()),
            entries: metrics.register("entries", "Entries of the last projection", Gauge::default()),
            diagnostics: metrics.register("diagnostics", "What the last projection had to leave out", Gauge::default()),
            held: metrics.register(
                "held_removals",
                "Entries whose removal waits for a second complete read",
                Gauge::default(),
            ),
            removals: metrics.register("removals", "Entries that were taken out of the key set", Counter::default()),
        }
    }

    /// An entry was sent.
    pub fn upsert(&self, outcome: &'static str) {
        self.upserts.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A synchronisation ended.
    pub fn sync(&self, outcome: &'static str) {
        self.syncs.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
