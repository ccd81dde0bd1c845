//! What can be seen of location from outside, besides its requests.

use std::fmt::{self, Write};
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use service::Metrics;

use crate::snapshot::Snapshot;

/// How much is served.
#[derive(Debug, Clone, Default)]
pub struct SizeGauges {
    entries: Gauge,
    cards: Gauge,
}

impl SizeGauges {
    /// Adds them to the metrics of the service.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register("entries", "Entries that are served", self.entries.clone());
        metrics.register("model_cards", "Model cards that are served", self.cards.clone());
    }

    pub(crate) fn show(&self, snapshot: &Snapshot) {
        self.entries.set(i64::try_from(snapshot.entries()).unwrap_or(i64::MAX));
        self.cards.set(i64::try_from(snapshot.cards()).unwrap_or(i64::MAX));
    }
}

/// How a comparison with storage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LoadOutcome {
    Complete,
    Partial,
    NothingServable,
    Unreachable,
}

impl EncodeLabelValue for LoadOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::NothingServable => "nothing_servable",
            Self::Unreachable => "unreachable",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoadLabels {
    outcome: LoadOutcome,
}

/// The comparisons with storage so far.
#[derive(Debug, Clone, Default)]
pub struct LoadCounters {
    loads: Family<LoadLabels, Counter>,
    last_complete: Gauge<f64, AtomicU64>,
}

impl LoadCounters {
    /// Adds them to the metrics of the service.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register("loads", "Comparisons with storage, by outcome", self.loads.clone());
        metrics.register(
            "last_complete_load_timestamp_seconds",
            "When all was last found or made as storage has it, in seconds since 1970; 0 before it ever was",
            self.last_complete.clone(),
        );
    }

    pub(crate) fn count(&self, outcome: LoadOutcome) {
        self.loads.get_or_create(&LoadLabels { outcome }).inc();
        if outcome == LoadOutcome::Complete {
            self.last_complete.set(now());
        }
    }
}

/// From a tenth of a second to an hour: changes that are seen at once, and those that wait for something that is away.
const CHANGE_BUCKETS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// How long changes take until they are served. Only those count that happened while the normalizer looked on: what a start
/// or a new source brings was there before, and says nothing about time.
#[derive(Debug, Clone)]
pub struct ChangeTimes(Histogram);

impl Default for ChangeTimes {
    fn default() -> Self {
        Self(Histogram::new(CHANGE_BUCKETS))
    }
}

impl ChangeTimes {
    /// Adds them to the metrics of the service.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(
            "change_to_served_seconds",
            "Time from a change at its source until it is served",
            self.0.clone(),
        );
    }

    /// What changed at that moment, in milliseconds since 1970, is served from now on.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds are far below 2^52")]
    pub(crate) fn served(&self, changed_at: i64) {
        // Clocks differ: nothing is served before it has changed.
        self.0.observe((now() - changed_at as f64 / 1000.0).max(0.0));
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
