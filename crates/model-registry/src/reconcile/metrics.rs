//! What the reconciler counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service::Metrics;
use service::calls::CallMetrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabel {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    cluster: String,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// A serving environment.
    Environment,
    /// A new record.
    Created,
    /// A record that differed.
    Updated,
    /// The end of a record.
    Undeployed,
    /// A service's label.
    Labelled,
}

impl Write {
    const ALL: [Self; 5] = [Self::Environment, Self::Created, Self::Updated, Self::Undeployed, Self::Labelled];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Undeployed => "undeployed",
            Self::Labelled => "labelled",
        }
    }
}

/// The metrics of all clusters.
#[derive(Debug, Clone)]
pub(super) struct ReconcileMetrics {
    writes: Family<WriteLabel, Counter>,
    services: Family<ClusterLabel, Gauge>,
    refused: Family<ClusterLabel, Gauge>,
    failures: Counter,
    /// Of the requests to others.
    pub(super) calls: CallMetrics,
}

impl ReconcileMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let own = Self {
            writes: metrics.register("writes", "What was written, to the registry and as labels", Family::default()),
            services: metrics.register(
                "services",
                "InferenceServices that say which registered model they serve",
                Family::default(),
            ),
            refused: metrics.register("refused", "What could not be written, as the log says why", Family::default()),
            failures: metrics.register("failures", "Comparisons that the registry let fail", Counter::default()),
            calls: CallMetrics::new(metrics),
        };
        for write in Write::ALL {
            drop(own.writes.get_or_create(&WriteLabel { what: write.as_str() }));
        }
        own
    }

    pub(super) fn wrote(&self, write: Write) {
        self.writes.get_or_create(&WriteLabel { what: write.as_str() }).inc();
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }

    pub(super) fn seen(&self, cluster: &str, services: usize, refused: usize) {
        let label = ClusterLabel { cluster: cluster.to_owned() };
        let number = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.services.get_or_create(&label).set(number(services));
        self.refused.get_or_create(&label).set(number(refused));
    }
}
