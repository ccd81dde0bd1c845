//! The span that something comes from, as it travels: with requests, by the headers of W3C Trace Context, and with what
//! waits in memory.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACE_PARENT: &str = "traceparent";
/// As much as everyone must hand on of `tracestate`; who sends more may want our memory.
const LONGEST_STATE: usize = 512;

/// Whether this process sends traces.
static TRACED: AtomicBool = AtomicBool::new(false);

pub(super) fn traced_from_now_on() {
    TRACED.store(true, Ordering::Relaxed);
}

fn is_traced() -> bool {
    TRACED.load(Ordering::Relaxed)
}

/// The span that caused something, wherever it is. None is known where nothing is traced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause(Option<SpanContext>);

impl Cause {
    /// The current span.
    pub fn current() -> Self {
        if is_traced() { Self::of(&Span::current()) } else { Self::default() }
    }

    /// A span.
    pub fn of(span: &Span) -> Self {
        Self::in_context(&span.context())
    }

    /// What a request says.
    pub fn of_request(headers: &HeaderMap) -> Self {
        if !is_traced() || !headers.contains_key(TRACE_PARENT) {
            return Self::default();
        }
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(headers));
        Self::in_context(&context)
    }

    fn in_context(context: &Context) -> Self {
        Self(Some(context.span().span_context().clone()).filter(SpanContext::is_valid))
    }

    /// Whether there is one.
    pub fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Makes a new span belong to it, if it is known.
    pub fn adopt(&self, span: &Span) {
        if let Some(context) = &self.0 {
            // An error says that the span is not traced.
            let _ = span.set_parent(Context::new().with_remote_span_context(context.clone()));
        }
    }

    /// A span that belongs to it; none where it is not known.
    pub fn leads_to(&self, span: impl FnOnce() -> Span) -> Span {
        if !self.is_known() {
            return Span::none();
        }
        let span = span();
        self.adopt(&span);
        span
    }

    /// Writes it into the headers of a request.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if let Some(context) = &self.0 {
            let context = Context::new().with_remote_span_context(context.clone());
            TraceContextPropagator::new().inject_context(&context, &mut Sent(headers));
        }
    }
}

struct Received<'a>(&'a HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let text = self.0.get(key)?.to_str().ok()?;
        (key == TRACE_PARENT || text.len() <= LONGEST_STATE).then_some(text)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Sent<'a>(&'a mut HeaderMap);

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A trace without a state says nothing of it.
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn received(parent: &str, state: &str) -> HeaderMap {
        HeaderMap::from_iter([
            (HeaderName::from_static("traceparent"), parent.parse().unwrap()),
            (HeaderName::from_static("tracestate"), state.parse().unwrap()),
        ])
    }

    fn handed_on(headers: &HeaderMap) -> HeaderMap {
        traced_from_now_on();
        let mut sent = HeaderMap::new();
        Cause::of_request(headers).write(&mut sent);
        sent
    }

    #[test]
    fn what_a_request_says_is_handed_on() {
        let headers = received(PARENT, "vendor=value");
        assert_eq!(handed_on(&headers), headers);
    }

    #[test]
    fn a_state_that_is_too_long_is_not_kept_and_an_empty_one_not_sent() {
        for state in [format!("vendor={}", "x".repeat(LONGEST_STATE)), String::new()] {
            let sent = handed_on(&received(PARENT, &state));
            assert_eq!(sent["traceparent"], PARENT);
            assert_eq!(sent.len(), 1, "{sent:?}");
        }
    }

    #[test]
    fn what_is_no_trace_leads_to_no_span() {
        let unusable = ["", "junk", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", &"0-".repeat(9000)];
        for parent in unusable {
            let headers = received(parent, "vendor=value");
            assert!(handed_on(&headers).is_empty(), "{parent}");
            assert!(Cause::of_request(&headers).leads_to(|| unreachable!("{parent}")).is_none());
        }
    }
}
