//! What is seen of requests: a count and a duration by route, a log line, and a span where they belong to a trace. Neither
//! queries nor headers are ever in one of them, because they may hold secrets.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use tracing::{Instrument as _, Span, field};

use crate::metrics::Metrics;
use crate::telemetry::{Cause, TARGET, failed};

/// From half a millisecond to 10 s.
const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
const SHOWN_PATH: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Route,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Route,
}

/// The route of a request, shared with the router that found it: each request has one, so it is not copied.
#[derive(Debug, Clone)]
struct Route(Option<MatchedPath>);

impl Route {
    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("none", MatchedPath::as_str)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.as_str())
    }
}

/// The metrics of requests.
#[derive(Clone)]
pub(super) struct Observer {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

impl Observer {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let durations: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        Self {
            requests: metrics.register(
                "http_requests",
                "Requests answered, by route, method and status",
                Family::default(),
            ),
            durations: metrics.register(
                "http_request_duration_seconds",
                "Time until the head of the answer, by route",
                durations,
            ),
        }
    }
}

pub(super) async fn observe(State(observer): State<Observer>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Only routes become labels: paths are without number.
    let route = Route(request.extensions().get::<MatchedPath>().cloned());
    let method = request.method().clone();
    let uri = request.uri().clone();
    let span = span_of(&request, &route);
    let response = next.run(request).instrument(span.clone()).await;
    let (status, elapsed) = (response.status(), started.elapsed());
    let labels = RequestLabels { route: route.clone(), method: known(&method), status: status.as_u16() };
    observer.requests.get_or_create(&labels).inc();
    observer.durations.get_or_create(&RouteLabels { route }).observe(elapsed.as_secs_f64());
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        failed(&span, &status);
        let path = shown(uri.path());
        tracing::warn!(%method, path, status = status.as_u16(), ?elapsed, "request failed");
    } else {
        tracing::debug!(%method, path = shown(uri.path()), status = status.as_u16(), ?elapsed, "request answered");
    }
    response
}

/// The span of a request that says which trace it belongs to; what belongs to none is not traced.
fn span_of(request: &Request, route: &Route) -> Span {
    Cause::of_request(request.headers()).leads_to(|| {
        let (method, route) = (known(request.method()), route.as_str());
        tracing::info_span!(
            target: TARGET, "request", otel.name = format!("{method} {route}"), otel.kind = "server",
            http.request.method = method, http.route = route, http.response.status_code = field::Empty,
        )
    })
}

/// A client may make up methods; a label may not have values without number.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn shown(path: &str) -> &str {
    let end = (0..=SHOWN_PATH.min(path.len())).rev().find(|end| path.is_char_boundary(*end));
    &path[..end.unwrap_or(0)]
}
