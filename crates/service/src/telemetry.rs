//! Logs: one line an event to standard error, as text for people or as JSON for collectors. And traces of changes, where a
//! collector of them is named.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

mod cause;
mod exporter;
mod traces;

pub use cause::Cause;
pub use exporter::HeadersError;
pub use traces::{ResourceAttributes, TARGET, TraceError, TraceSampler, TraceSettings, Traces, failed};

/// What is logged and how.
#[derive(Debug, Clone, Default, Args)]
pub struct LogSettings {
    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, also per module as in `info,location=debug`
    #[arg(long, env = "LOG_LEVEL", default_value_t, help_heading = "Logs")]
    pub log_level: LogLevel,
    /// How to write logs
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t, help_heading = "Logs")]
    pub log_format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For collectors: one JSON object a line
    Json,
}

/// A valid filter for log events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl Default for LogLevel {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogLevel {
    type Err = tracing_subscriber::filter::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        EnvFilter::builder().parse(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts logging. In a process that logs already nothing changes: the first call wins.
pub fn init(settings: &LogSettings) {
    // An error says that logging was set up before.
    let _ = tracing_subscriber::registry().with(settings.filter()).with(lines(settings)).try_init();
}

/// Starts logging, and traces of `service` where settings name a collector. Must be called within a tokio runtime.
pub fn start(log: &LogSettings, traces: &TraceSettings, service: &'static str) -> Result<Traces, TraceError> {
    let traces = Traces::new(traces, service)?;
    let Some(tracer) = traces.tracer() else {
        init(log);
        return Ok(traces);
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(Targets::new().with_target(TARGET, Level::INFO));
    // Each with a filter of its own: traces are the same whatever is logged.
    let lines = lines(log).with_filter(log.filter());
    if tracing_subscriber::registry().with(spans).with(lines).try_init().is_ok() {
        cause::traced_from_now_on();
    }
    Ok(traces)
}

impl LogSettings {
    /// What is logged. Spans for traces are no part of log lines.
    fn filter(&self) -> EnvFilter {
        EnvFilter::new(format!("{},{TARGET}=off", self.log_level))
    }
}

fn lines<S: Subscriber + for<'span> LookupSpan<'span>>(settings: &LogSettings) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked_when_they_are_read() {
        for valid in ["info", "WARN", "info,location=debug", "location::sync=trace"] {
            assert_eq!(valid.parse::<LogLevel>().unwrap().to_string(), valid);
        }
        assert!("location=loud".parse::<LogLevel>().is_err());
    }

    #[test]
    fn starting_twice_is_no_error() {
        init(&LogSettings::default());
        init(&LogSettings { log_format: LogFormat::Json, ..LogSettings::default() });
    }
}
