//! A collector of traces, as OTLP over HTTP has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// A span, and the service that sent it.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) service: String,
    pub(super) span: Span,
}

/// Keeps the spans that it is sent.
#[derive(Debug, Clone)]
pub(super) struct Collector {
    pub(super) url: String,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    spans: Vec<Sent>,
    authorizations: BTreeSet<String>,
    refusing: bool,
    refused: usize,
}

/// The spans of one trace by their ids.
pub(super) type Trace = BTreeMap<Vec<u8>, Sent>;

impl Collector {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self { url: format!("http://{}", listener.local_addr().unwrap()), kept: Arc::default() };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    /// From now on it answers that it is not available.
    pub(super) fn refuses(&self) {
        self.kept.lock().unwrap().refusing = true;
    }

    /// From now on it takes spans.
    pub(super) fn accepts(&self) {
        self.kept.lock().unwrap().refusing = false;
    }

    /// How many batches it refused.
    pub(super) fn refused(&self) -> usize {
        self.kept.lock().unwrap().refused
    }

    /// What it was authorized by.
    pub(super) fn authorizations(&self) -> BTreeSet<String> {
        self.kept.lock().unwrap().authorizations.clone()
    }

    pub(super) fn spans(&self) -> Vec<Sent> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// The traces that have a span of this name with this key.
    pub(super) fn traces_of(&self, name: &str, key: &str) -> Vec<Trace> {
        let spans = self.spans();
        let is_of = |sent: &&Sent| sent.span.name == name && attribute(&sent.span.attributes, "key") == key;
        let ids: BTreeSet<Vec<u8>> = spans.iter().filter(is_of).map(|sent| sent.span.trace_id.clone()).collect();
        let of = |id| spans.iter().filter(move |sent| sent.span.trace_id == id).cloned();
        ids.into_iter().map(|id| of(id).map(|sent| (sent.span.span_id.clone(), sent)).collect()).collect()
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut kept = collector.kept.lock().unwrap();
    if kept.refusing {
        kept.refused += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    assert_eq!(headers["content-type"], "application/x-protobuf");
    kept.authorizations.extend(headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()));
    for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let service = attribute(&resource.resource.unwrap().attributes, "service.name");
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        kept.spans.extend(spans.map(|span| Sent { service: service.clone(), span }));
    }
    StatusCode::OK
}

/// An attribute that is a text; nothing where it is missing.
fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}

/// How spans of a trace hang together: `service: parent > service: span`, and `service: span` alone where it has none.
pub(super) fn links(trace: &Trace) -> BTreeSet<String> {
    let shown = |sent: &Sent| format!("{}: {}", sent.service, sent.span.name);
    let link = |sent: &Sent| match trace.get(&sent.span.parent_span_id) {
        Some(parent) => format!("{} > {}", shown(parent), shown(sent)),
        None if sent.span.parent_span_id.is_empty() => shown(sent),
        None => format!("? > {}", shown(sent)),
    };
    trace.values().map(link).collect()
}
