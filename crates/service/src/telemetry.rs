//! Logs: one line an event to standard error, as text for people or as JSON for collectors.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

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
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(&settings.log_level.0)).with_writer(std::io::stderr);
    // An error says that logging was set up before.
    let _ = match settings.log_format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
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
