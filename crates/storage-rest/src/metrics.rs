//! What storage-rest counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::Metrics;
use service::calls::CallMetrics;

use crate::store::Outcome;

/// The metrics of one storage-rest. Clones count together.
#[derive(Debug, Clone)]
pub struct StorageMetrics {
    upserts: Family<OutcomeLabel, Counter>,
    entries: Gauge,
    deliveries: Family<DeliveryLabel, Counter>,
    undelivered: Family<TargetLabel, Gauge>,
    backstage_in_step: Gauge,
    /// Of the requests to others.
    pub calls: CallMetrics,
}

/// To whom storage delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The location service.
    Location,
    /// Backstage.
    Backstage,
}

impl Target {
    /// Its name, as labels have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Location => "location",
            Self::Backstage => "backstage",
        }
    }
}

/// What became of an attempt to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The target holds the entry now.
    Upserted,
    /// The target does not hold the entry any more.
    Removed,
    /// The target reads the entry again.
    Refreshed,
    /// An entity that nothing emits any more is gone from the target.
    Pruned,
    /// It goes wrong at the moment, and is tried again.
    Failed,
    /// The target does not take this entry.
    Rejected,
}

impl Delivery {
    const ALL: [Self; 6] = [Self::Upserted, Self::Removed, Self::Refreshed, Self::Pruned, Self::Failed, Self::Rejected];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Upserted => "upserted",
            Self::Removed => "removed",
            Self::Refreshed => "refreshed",
            Self::Pruned => "pruned",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }
}

/// Whether a target holds what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InStep {
    /// It did when it was last compared.
    Yes,
    /// It did not, or could not be compared.
    No,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabel {
    target: &'static str,
    outcome: &'static str,
}

impl StorageMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            upserts: metrics.register("upserts", "Upserts by outcome", Family::default()),
            entries: metrics.register("entries", "Entries in the store when it was last listed", Gauge::default()),
            deliveries: metrics.register("deliveries", "Attempts to deliver, by target and outcome", Family::default()),
            undelivered: metrics.register(
                "undelivered_entries",
                "Entries of which the target does not hold the current state",
                Family::default(),
            ),
            backstage_in_step: metrics.register(
                "backstage_in_step",
                "Whether Backstage held what it should when it was last compared: 1 if so, 0 if not or not known",
                Gauge::default(),
            ),
            calls: CallMetrics::new(metrics),
        }
    }

    /// From now on `target` is delivered to. A rate needs a beginning: what never happened is there with zero.
    pub fn delivers_to(&self, target: Target) {
        for delivery in Delivery::ALL {
            let labels = DeliveryLabel { target: target.as_str(), outcome: delivery.as_str() };
            drop(self.deliveries.get_or_create(&labels));
        }
        self.undelivered(target, 0);
    }

    /// An upsert was answered.
    pub fn upserted(&self, outcome: Outcome) {
        self.upserts.get_or_create(&OutcomeLabel { outcome: outcome.as_str() }).inc();
    }

    /// An upsert could not be done.
    pub fn upsert_failed(&self) {
        self.upserts.get_or_create(&OutcomeLabel { outcome: "failed" }).inc();
    }

    /// The store was listed.
    pub fn listed(&self, entries: usize) {
        self.entries.set(gauge(entries));
    }

    /// How many entries there were when the store was last listed.
    pub fn entries_listed(&self) -> i64 {
        self.entries.get()
    }

    /// How much was still to be delivered when that was last counted.
    pub fn undelivered_to(&self, target: Target) -> i64 {
        self.undelivered.get_or_create(&TargetLabel { target: target.as_str() }).get()
    }

    /// A delivery was tried.
    pub fn delivered(&self, target: Target, delivery: Delivery) {
        self.deliveries.get_or_create(&DeliveryLabel { target: target.as_str(), outcome: delivery.as_str() }).inc();
    }

    /// Backstage was compared.
    pub fn backstage_in_step(&self, in_step: InStep) {
        self.backstage_in_step.set(i64::from(in_step == InStep::Yes));
    }

    /// How much is still to be delivered.
    pub fn undelivered(&self, target: Target, entries: usize) {
        self.undelivered.get_or_create(&TargetLabel { target: target.as_str() }).set(gauge(entries));
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
