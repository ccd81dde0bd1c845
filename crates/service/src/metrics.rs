//! The metrics of one service: a registry of its own, no globals, so that several services share a process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

/// The content type of what [`Metrics::encode`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A handle to register metrics with and to write them out. Clones share the registry.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// An empty registry; the names of its metrics begin with `prefix` and `_`.
    pub fn new(prefix: &str) -> Self {
        let registry = Registry::with_prefix(prefix.replace('-', "_"));
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Registers `metric` and returns it; keep a clone to count with. The name goes without prefix and, for counters,
    /// without `_total`.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry().register(name, help, metric.clone());
        metric
    }

    /// Registers what is looked up each time that the metrics are written.
    pub fn collect(&self, collector: impl Collector) {
        self.registry().register_collector(Box::new(collector));
    }

    /// All metrics in the text format of OpenMetrics, which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry());
        text
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn each_service_has_its_own_names_and_numbers() {
        let (one, two) = (Metrics::new("storage-rest"), Metrics::new("location"));
        let upserts: Counter = one.register("upserts", "Upserts answered", Counter::default());
        upserts.inc_by(3);
        assert!(one.encode().contains("storage_rest_upserts_total 3\n"), "{}", one.encode());
        assert!(!two.encode().contains("upserts"));
    }
}
