//! Sends spans to a collector: OTLP over HTTP, with the bridge's own client.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use percent_encoding::percent_decode_str;
use prost::Message as _;
use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;
use url::Url;

use crate::secret::Secret;

/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that is read of an answer.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// Headers are not what they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "pair {0} is no header: they must be NAME=VALUE, separated by commas, with what is special in them percent-encoded"
)]
pub struct HeadersError(usize);

/// Sends what it is given once: spans that are not taken are lost.
#[derive(Debug)]
pub(super) struct Exporter {
    pub(super) http: Client,
    pub(super) endpoint: Url,
    pub(super) headers: Option<Secret>,
    /// Where requests are made: the thread that exports has no runtime of its own.
    pub(super) runtime: Handle,
    pub(super) resource: ResourceAttributesWithSchema,
    /// Whether it was said that spans are lost.
    pub(super) said: AtomicBool,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = match self.request(batch) {
            Ok(request) => self.runtime.spawn(send(request)).await.map_err(|error| error.to_string()).flatten(),
            Err(error) => Err(error.to_string()),
        };
        match &sent {
            Ok(()) if self.said.swap(false, Ordering::Relaxed) => {
                tracing::info!("the collector at {} takes traces again", self.shown());
            }
            Err(problem) if !self.said.swap(true, Ordering::Relaxed) => {
                tracing::warn!("traces are lost until the collector at {} takes them: {problem}", self.shown());
            }
            Ok(()) | Err(_) => {}
        }
        sent.map_err(OTelSdkError::InternalFailure)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl Exporter {
    /// The collector's address, fit for messages.
    pub(super) fn shown(&self) -> String {
        self.endpoint.origin().ascii_serialization()
    }

    fn request(&self, batch: Vec<SpanData>) -> Result<RequestBuilder, HeadersError> {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let headers = self.headers.as_ref().map(headers).transpose()?.unwrap_or_default();
        let request = self.http.post(self.endpoint.clone()).timeout(PATIENCE).headers(headers);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        Ok(request.header(CONTENT_TYPE, "application/x-protobuf").body(body))
    }
}

async fn send(request: RequestBuilder) -> Result<(), String> {
    let mut answer = request.send().await.map_err(|error| causes(&error.without_url()))?;
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Ok(());
        }
    }
    let partial = ExportTraceServiceResponse::decode(body.as_slice()).ok().and_then(|answer| answer.partial_success);
    match partial.filter(|partial| partial.rejected_spans > 0) {
        Some(partial) => Err(format!("it rejects {} of them: {}", partial.rejected_spans, partial.error_message)),
        None => Ok(()),
    }
}

/// The headers that a secret holds.
pub(super) fn headers(secret: &Secret) -> Result<HeaderMap, HeadersError> {
    let text = secret.current();
    let pairs = pairs(text.expose_secret()).enumerate();
    pairs.map(|(at, pair)| pair.and_then(|(name, value)| header(name, &value)).ok_or(HeadersError(at + 1))).collect()
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}

/// `NAME=VALUE,...`, as OpenTelemetry's variables have them, the values percent-encoded; `None` for what is no pair.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = Option<(&str, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim(), value.into_owned())).filter(|(name, _)| !name.is_empty())
    })
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<HeaderMap, HeadersError> {
        headers(&Secret::fixed(text.to_owned().into()))
    }

    #[test]
    fn headers_are_pairs_between_commas_with_values_that_may_be_encoded() {
        let headers = parsed(" a=1, Authorization=Basic%20eA==, ").unwrap();
        assert_eq!(
            (headers.len(), &headers["a"], &headers["authorization"]),
            (2, &"1".parse().unwrap(), &"Basic eA==".parse().unwrap())
        );
        assert!(headers["authorization"].is_sensitive());
    }

    #[test]
    fn what_is_no_header_is_told_by_its_place_and_not_repeated() {
        for (text, place) in [("hidden", 1), ("a=1,=hidden", 2), ("a=1,b=2,c d=hidden", 3), ("a=%0Ahidden", 1)] {
            let error = parsed(text).unwrap_err();
            assert_eq!(error, HeadersError(place), "{text}");
            assert!(!error.to_string().contains("hidden"), "{error}");
        }
    }
}
