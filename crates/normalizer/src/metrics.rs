//! What the normalizer counts.

use std::fmt;
use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use service::Metrics;
use service::calls::CallMetrics;

use crate::inventory::SourceId;
use crate::observe::{Board, Read, SourceStatus};

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
}

impl SourceMetrics {
    fn new(metrics: &Metrics) -> Self {
        Self {
            reads: metrics.register("source_reads", "Reads of a registry, by kind and outcome", Family::default()),
            records: metrics.register("source_records", "Model versions that a registry holds", Family::default()),
        }
    }

    /// A registry was read.
    pub fn read(&self, source: &SourceId, read: Read, records: usize) {
        let label = SourceLabel { source: source.to_string() };
        let outcome = SourceOutcome { source: source.to_string(), kind: read.as_str(), outcome: "ok" };
        self.reads.get_or_create(&outcome).inc();
        self.records.get_or_create(&label).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// A registry could not be read.
    pub fn failed(&self, source: &SourceId) {
        self.reads.get_or_create(&SourceOutcome { source: source.to_string(), kind: "any", outcome: "failed" }).inc();
    }

    /// A registry is no longer read.
    pub fn forget(&self, source: &SourceId) {
        let label = SourceLabel { source: source.to_string() };
        self.records.remove(&label);
    }
}

/// Metrics of the normalizer.
#[derive(Debug, Clone)]
pub struct NormalizerMetrics {
    /// Of the sources.
    pub sources: SourceMetrics,
    /// Of the requests to others.
    pub calls: CallMetrics,
    last_sync: Gauge<f64, AtomicU64>,
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
            calls: CallMetrics::new(metrics),
            last_sync: metrics.register(
                "last_sync_timestamp_seconds",
                "When storage was last in step with the sources, in seconds since 1970; 0 before it ever was",
                Gauge::default(),
            ),
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
        .begun()
    }

    /// A rate needs a beginning: what never happened is there with zero.
    fn begun(self) -> Self {
        for outcome in ["ok", "failed", "refused"] {
            drop(self.upserts.get_or_create(&OutcomeLabel { outcome }));
        }
        for outcome in ["ok", "failed"] {
            drop(self.syncs.get_or_create(&OutcomeLabel { outcome }));
        }
        self
    }

    /// An entry was sent.
    pub fn upsert(&self, outcome: &'static str) {
        self.upserts.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A synchronisation ended.
    pub fn sync(&self, outcome: &'static str) {
        self.syncs.get_or_create(&OutcomeLabel { outcome }).inc();
        if outcome == "ok" {
            self.last_sync.set(seconds(Timestamp::now()));
        }
    }
}

/// How fresh what is known of each source is, as the board has it when it is asked.
#[derive(Debug)]
pub struct Freshness(pub Board);

impl Collector for Freshness {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sources: Vec<(SourceLabel, SourceStatus)> = self
            .0
            .freshness()
            .into_iter()
            .map(|(source, status)| (SourceLabel { source: source.to_string() }, status))
            .collect();
        if sources.is_empty() {
            return Ok(());
        }
        let mut write = |name: &str, help: &str, value: &dyn Fn(&SourceStatus) -> f64| {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (label, status) in &sources {
                ConstGauge::new(value(status)).encode(gauge.encode_family(label)?)?;
            }
            Ok(())
        };
        let at = |time: Option<Timestamp>| time.map_or(0.0, seconds);
        write("source_stale", "1 while the last read of a source failed", &|status| {
            f64::from(u8::from(status.failure.is_some()))
        })?;
        write(
            "source_last_read_timestamp_seconds",
            "When a source was last read, completely or for what is new, in seconds since 1970; 0 before it ever was",
            &|status| at(status.last_read),
        )?;
        write(
            "source_last_complete_read_timestamp_seconds",
            "When a source was last read completely, in seconds since 1970; 0 before it ever was",
            &|status| at(status.last_complete_read),
        )
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}
