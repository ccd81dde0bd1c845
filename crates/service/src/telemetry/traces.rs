//! Traces: what came of a change, as spans for an OpenTelemetry collector. Off unless a collector is named.
//!
//! Spans wait in a queue that drops what does not fit, and go out from a thread of their own: a collector that is slow or
//! away costs the services nothing but the log line that says so.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use secrecy::SecretString;
use thiserror::Error;
use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use url::Url;

use super::exporter::{Exporter, HeadersError, headers, pairs};
use crate::http_client::{HttpClientError, TlsSettings, client};
use crate::secret::{Secret, SecretError, SecretSetting};
use crate::settings::{http_url, secret};

/// The target of the spans that are sent, and of nothing that is logged.
pub const TARGET: &str = "traces";
/// How long the last spans may take to go out when a service stops.
const LAST_SPANS: Duration = Duration::from_secs(2);
const HEADERS: SecretSetting = SecretSetting {
    value: "--otlp-headers / OTEL_EXPORTER_OTLP_HEADERS",
    file: "--otlp-headers-file / OTEL_EXPORTER_OTLP_HEADERS_FILE",
};

/// What is traced, and where traces go. The variables are OpenTelemetry's own.
#[derive(Debug, Clone, Default, Args)]
pub struct TraceSettings {
    /// An OpenTelemetry collector to send traces to, by OTLP over HTTP with protobuf, such as http://collector:4318
    /// [default: none, and no traces]
    #[arg(
        long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = http_url, help_heading = "Traces"
    )]
    pub otlp_endpoint: Option<Url>,

    /// Headers for the collector, separated by commas, each NAME=VALUE with the value percent-encoded
    #[arg(
        long, env = "OTEL_EXPORTER_OTLP_HEADERS", value_name = "HEADERS", value_parser = secret, hide_env_values = true,
        help_heading = "Traces"
    )]
    pub otlp_headers: Option<SecretString>,

    /// A file with these headers, read again when it rotates
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS_FILE", value_name = "FILE", help_heading = "Traces")]
    pub otlp_headers_file: Option<PathBuf>,

    /// A PEM file, or a directory of them, with certificates to trust in the collector besides those of the system
    #[arg(long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE", value_name = "PATH", help_heading = "Traces")]
    pub otlp_ca: Option<PathBuf>,

    /// What the service is called in traces [default: its own name]
    #[arg(long, env = "OTEL_SERVICE_NAME", value_name = "NAME", help_heading = "Traces")]
    pub otel_service_name: Option<String>,

    /// What else is said of the service in traces, separated by commas, each NAME=VALUE with the value percent-encoded
    #[arg(
        long, env = "OTEL_RESOURCE_ATTRIBUTES", value_name = "ATTRIBUTES", value_parser = attributes, default_value = "",
        hide_default_value = true, help_heading = "Traces"
    )]
    pub otel_resource_attributes: ResourceAttributes,

    /// Which traces are sent: `always_on`, `always_off` or `traceidratio`; with `parentbased_` before it, what the service
    /// that began a trace has decided comes first
    #[arg(
        long,
        env = "OTEL_TRACES_SAMPLER",
        value_name = "SAMPLER",
        value_enum,
        default_value_t,
        help_heading = "Traces"
    )]
    pub otel_traces_sampler: TraceSampler,

    /// Which share of traces is sent with a sampler by ratio, between 0 and 1 [default: 1]
    #[arg(
        long, env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO", value_parser = ratio, help_heading = "Traces"
    )]
    pub otel_traces_sampler_arg: Option<f64>,

    /// Send no traces, even where a collector is named
    #[arg(
        long, env = "OTEL_SDK_DISABLED", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new(), help_heading = "Traces"
    )]
    pub otel_sdk_disabled: bool,
}

/// Which traces are sent, by OpenTelemetry's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum TraceSampler {
    /// All
    AlwaysOn,
    /// None
    AlwaysOff,
    /// A share
    #[value(name = "traceidratio")]
    Ratio,
    /// All, unless another service decided otherwise
    #[default]
    #[value(name = "parentbased_always_on")]
    ParentOrOn,
    /// None, unless another service decided otherwise
    #[value(name = "parentbased_always_off")]
    ParentOrOff,
    /// A share, unless another service decided otherwise
    #[value(name = "parentbased_traceidratio")]
    ParentOrRatio,
}

impl TraceSampler {
    fn sampler(self, ratio: Option<f64>) -> Sampler {
        let ratio = Sampler::TraceIdRatioBased(ratio.unwrap_or(1.0));
        match self {
            Self::AlwaysOn => Sampler::AlwaysOn,
            Self::AlwaysOff => Sampler::AlwaysOff,
            Self::Ratio => ratio,
            Self::ParentOrOn => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            Self::ParentOrOff => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
            Self::ParentOrRatio => Sampler::ParentBased(Box::new(ratio)),
        }
    }
}

/// What is said of a service besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceAttributes(Vec<(String, String)>);

/// A setting of traces is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum SettingError {
    #[error("it must be NAME=VALUE, separated by commas, with what is special in a value percent-encoded")]
    Pairs,
    #[error("it must be a number between 0 and 1")]
    Ratio,
}

fn attributes(text: &str) -> Result<ResourceAttributes, SettingError> {
    let pairs = pairs(text).map(|pair| pair.map(|(name, value)| (name.to_owned(), value)));
    pairs.collect::<Option<_>>().map(ResourceAttributes).ok_or(SettingError::Pairs)
}

fn ratio(text: &str) -> Result<f64, SettingError> {
    text.trim().parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or(SettingError::Ratio)
}

/// Traces can't be sent with these settings.
#[derive(Debug, Error)]
pub enum TraceError {
    /// There is no client to send them with.
    #[error("--otlp-ca / OTEL_EXPORTER_OTLP_CERTIFICATE: {0}")]
    Client(#[from] HttpClientError),
    /// The headers can't be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The headers are none.
    #[error("--otlp-headers / OTEL_EXPORTER_OTLP_HEADERS, or their file: {0}")]
    Headers(#[from] HeadersError),
}

/// The traces of this process, which are sent in the background.
#[derive(Debug, Default)]
#[must_use = "the last spans are lost unless it is finished"]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// What sends the traces of `service`, where a collector is named. Must be called within a tokio runtime.
    pub(super) fn new(settings: &TraceSettings, service: &'static str) -> Result<Self, TraceError> {
        let Some(endpoint) = settings.otlp_endpoint.clone().filter(|_| !settings.otel_sdk_disabled) else {
            return Ok(Self(None));
        };
        let tls = TlsSettings { ca_file: settings.otlp_ca.clone(), ..TlsSettings::default() };
        let secret =
            Secret::from_settings(settings.otlp_headers.as_ref(), settings.otlp_headers_file.as_deref(), HEADERS)?;
        secret.as_ref().map(headers).transpose()?;
        let resource = settings.resource(service);
        let exporter = Exporter {
            http: client(&tls, "the collector of traces")?,
            endpoint: below(endpoint),
            headers: secret,
            runtime: Handle::current(),
            resource: (&resource).into(),
            said: AtomicBool::new(false),
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(settings.otel_traces_sampler.sampler(settings.otel_traces_sampler_arg))
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(Some(provider)))
    }

    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.0.as_ref().map(|provider| provider.tracer("model-catalog-bridge"))
    }

    /// Sends what is left, for a bounded time.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        let last = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_SPANS));
        // What was not taken by then is lost: nobody waits longer for traces.
        let _ = last.await;
    }
}

impl TraceSettings {
    fn resource(&self, service: &'static str) -> Resource {
        let known =
            [KeyValue::new("service.name", service), KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
        let given = self.otel_resource_attributes.0.iter().cloned().map(|(name, value)| KeyValue::new(name, value));
        let named = self.otel_service_name.clone().map(|name| KeyValue::new("service.name", name));
        Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(known.into_iter().chain(given).chain(named))
            .build()
    }
}

/// Where a collector takes traces.
fn below(mut endpoint: Url) -> Url {
    if let Ok(mut path) = endpoint.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "traces"]);
    }
    endpoint
}

/// Says of a span that what it stands for has failed.
pub fn failed(span: &Span, why: &dyn fmt::Display) {
    if !span.is_disabled() {
        span.set_status(Status::error(why.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        traces: TraceSettings,
    }

    fn settings(flags: &[&str]) -> Result<TraceSettings, clap::Error> {
        Cli::try_parse_from(["service"].iter().chain(flags)).map(|cli| cli.traces)
    }

    #[tokio::test]
    async fn without_a_collector_and_when_disabled_there_are_none() {
        for flags in [&[][..], &["--otlp-endpoint=http://localhost:4318", "--otel-sdk-disabled"]] {
            let traces = Traces::new(&settings(flags).unwrap(), "location").unwrap();
            assert!(traces.tracer().is_none(), "{flags:?}");
            traces.finish().await;
        }
    }

    #[test]
    fn traces_go_below_the_url_that_is_given() {
        for (given, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("https://traces.example.com/otlp/", "https://traces.example.com/otlp/v1/traces"),
        ] {
            assert_eq!(below(given.parse().unwrap()).as_str(), expected);
        }
    }

    #[test]
    fn a_service_is_called_what_settings_say() {
        let name = |flags: &[&str]| {
            let resource = settings(flags).unwrap().resource("location");
            resource.get(&"service.name".into()).unwrap().to_string()
        };
        let attributes = "--otel-resource-attributes=service.name=other,deployment.environment.name=a%2Cb";
        assert_eq!(name(&[]), "location");
        assert_eq!(name(&[attributes]), "other");
        assert_eq!(name(&[attributes, "--otel-service-name=mine"]), "mine");
        let resource = settings(&[attributes]).unwrap().resource("location");
        assert_eq!(resource.get(&"deployment.environment.name".into()).unwrap().to_string(), "a,b");
    }

    #[test]
    fn samplers_have_the_names_and_defaults_of_opentelemetry() {
        for (flags, expected) in [
            (&[][..], "ParentBased(AlwaysOn)"),
            (&["--otel-traces-sampler=always_off"], "AlwaysOff"),
            (&["--otel-traces-sampler=traceidratio"], "TraceIdRatioBased(1.0)"),
            (
                &["--otel-traces-sampler=parentbased_traceidratio", "--otel-traces-sampler-arg=0.1"],
                "ParentBased(TraceIdRatioBased(0.1))",
            ),
        ] {
            let settings = settings(flags).unwrap();
            let sampler = settings.otel_traces_sampler.sampler(settings.otel_traces_sampler_arg);
            assert_eq!(format!("{sampler:?}"), expected);
        }
        for wrong in ["--otel-traces-sampler=jaeger_remote", "--otel-traces-sampler-arg=2", "--otlp-endpoint=host:4317"]
        {
            assert!(settings(&[wrong]).is_err(), "{wrong}");
        }
    }
}
