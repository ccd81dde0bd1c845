//! What can be seen of location from outside, besides its requests.

use std::fmt::{self, Write};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
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
pub struct LoadCounters(Family<LoadLabels, Counter>);

impl LoadCounters {
    /// Adds them to the metrics of the service.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register("loads", "Comparisons with storage, by outcome", self.0.clone());
    }

    pub(crate) fn count(&self, outcome: LoadOutcome) {
        self.0.get_or_create(&LoadLabels { outcome }).inc();
    }
}
