//! What is seen of requests to others: metrics by target and outcome, and a span where they belong to a trace.

use std::sync::Arc;

use calls::{Calls, Company, Ended, Observer, Outcome, Outgoing};
use http::HeaderMap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use tracing::{Span, field};

use crate::metrics::Metrics;
use crate::telemetry::{Cause, TARGET, failed};

/// From 5 ms to 30 s, which is when clients give up.
const BUCKETS: [f64; 9] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// Whom a service asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Model registries.
    Registry,
    /// Model catalogs, for model cards.
    Catalog,
    /// The bridge's storage-rest.
    Storage,
    /// The bridge's location.
    Location,
    /// Backstage's catalog.
    Backstage,
    /// API servers of clusters.
    Kubernetes,
}

impl Target {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Catalog => "catalog",
            Self::Storage => "storage",
            Self::Location => "location",
            Self::Backstage => "backstage",
            Self::Kubernetes => "kubernetes",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    target: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: &'static str,
}

/// The metrics of one service's requests to others.
#[derive(Debug, Clone)]
pub struct CallMetrics {
    requests: Family<CallLabels, Counter>,
    durations: Family<TargetLabel, Histogram, fn() -> Histogram>,
}

impl CallMetrics {
    /// Registers them.
    pub fn new(metrics: &Metrics) -> Self {
        let durations: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        Self {
            requests: metrics.register(
                "client_requests",
                "Requests to others, by target and outcome",
                Family::default(),
            ),
            durations: metrics.register(
                "client_request_duration_seconds",
                "Time until the head of the answer, by target",
                durations,
            ),
        }
    }

    /// Requests to `target`, which count from now on, with zero for what has not happened yet: a rate needs a beginning.
    pub fn to(&self, target: Target) -> Calls {
        let target = target.as_str();
        for outcome in Outcome::ALL {
            drop(self.requests.get_or_create(&CallLabels { target, outcome: outcome.as_str() }));
        }
        drop(self.durations.get_or_create(&TargetLabel { target }));
        Calls::observed_by(Arc::new(Counting { metrics: self.clone(), target }))
    }
}

struct Counting {
    metrics: CallMetrics,
    target: &'static str,
}

impl Observer for Counting {
    fn begins(&self, request: Outgoing<'_>) -> Company {
        // What belongs to no trace, such as a comparison now and then, is not traced.
        if !Cause::current().is_known() {
            return Company::default();
        }
        let Outgoing { method, host, path } = request;
        let span = tracing::info_span!(
            target: TARGET, "request to another", otel.name = format!("{method} {}", self.target), otel.kind = "client",
            peer.service = self.target, http.request.method = method.as_str(), server.address = host, url.path = path,
            http.response.status_code = field::Empty,
        );
        let mut headers = HeaderMap::new();
        Cause::of(&span).write(&mut headers);
        Company { span, headers }
    }

    fn ended(&self, ended: Ended, span: &Span) {
        let outcome = ended.outcome();
        let labels = CallLabels { target: self.target, outcome: outcome.as_str() };
        self.metrics.requests.get_or_create(&labels).inc();
        self.metrics.durations.get_or_create(&TargetLabel { target: self.target }).observe(ended.elapsed.as_secs_f64());
        if let Some(status) = ended.status {
            span.record("http.response.status_code", status.as_u16());
        }
        // That there is no such thing may be what was to be found out.
        if !matches!(outcome, Outcome::Ok | Outcome::NotFound) {
            failed(span, &outcome.as_str());
        }
    }
}
