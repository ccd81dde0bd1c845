//! What can be set: each setting is a flag and an environment variable.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser, ValueEnum};
use service::settings::GoDuration;
use service::telemetry::{LogSettings, TraceSettings};

mod limits;
mod metrics;
mod network;
mod registry;
mod size;

pub use limits::{LimitSettings, UnpackMode};
pub use metrics::MetricsSettings;
pub use network::NetworkSettings;
pub use registry::{BaseUrl, BaseUrlError, RegistrySettings, Scheme};
pub(crate) use size::readable;
pub use size::{Size, SizeError};

/// KServe's storage initializer: fetches a model from wherever it is, and asks a Model Registry where that is.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "storage-initializer",
    version,
    after_help = "Exit codes: 64 called wrongly, 65 damaged, 66 not found, 69 unavailable, 70 a fault of the program, 73 no \
                  room, 77 no permission. The last line says what failed and what to do."
)]
pub struct Settings {
    /// Where the model is: model-registry://, s3://, gs://, abfs(s)://, az://, http(s)://, file://, pvc://, hf://, oci:// or a
    /// path
    #[arg(value_name = "SOURCE-URI")]
    pub source_uri: String,

    /// The directory that the model is put into
    #[arg(value_name = "DEST-PATH", required_unless_present_any = ["resolve_only", "dry_run"])]
    pub dest_path: Option<PathBuf>,

    /// Print where the model is, as far as the registry says, and fetch nothing
    #[arg(
        long, env = "STORAGE_INITIALIZER_RESOLVE_ONLY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub resolve_only: bool,

    /// List what would be fetched, with sizes, and fetch nothing
    #[arg(
        long, env = "STORAGE_INITIALIZER_DRY_RUN", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub dry_run: bool,

    /// In which form these two print
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_OUTPUT",
        value_name = "FORM",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub output: Output,

    /// A file to write a summary to, as JSON, whether the model was fetched or not
    #[arg(long, env = "STORAGE_INITIALIZER_SUMMARY", value_name = "FILE")]
    pub summary: Option<PathBuf>,

    /// How often to say how far the download is; 0 for never
    #[arg(long, env = "STORAGE_INITIALIZER_PROGRESS_INTERVAL", value_name = "DURATION", default_value = "5s")]
    pub progress_interval: GoDuration,

    /// The registry
    #[command(flatten)]
    pub registry: RegistrySettings,

    /// The bounds of a download
    #[command(flatten)]
    pub limits: LimitSettings,

    /// How storage is reached
    #[command(flatten)]
    pub network: NetworkSettings,

    /// What the metrics of a run are sent to
    #[command(flatten)]
    pub metrics: MetricsSettings,

    /// What is logged and how
    #[command(flatten)]
    pub log: LogSettings,

    /// Traces
    #[command(flatten)]
    pub traces: TraceSettings,
}

/// A form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// For programs: one JSON object, or one a line
    Json,
}

#[cfg(test)]
mod tests;
