//! Where the metrics of a run are sent: an init container is gone before anybody could ask it.

use std::path::PathBuf;

use clap::Args;
use service::settings::http_url;
use url::Url;

/// Where metrics go.
#[derive(Debug, Clone, Default, Args)]
pub struct MetricsSettings {
    /// A Prometheus Pushgateway to send metrics of the run to, such as http://pushgateway:9091 [default: none, and no
    /// metrics]
    #[arg(
        long,
        env = "STORAGE_INITIALIZER_METRICS_PUSH_URL",
        value_name = "URL",
        value_parser = http_url,
        help_heading = "Metrics"
    )]
    pub metrics_push_url: Option<Url>,

    /// A PEM file, or a directory of them, with certificates to trust in the Pushgateway besides those of the system
    #[arg(long, env = "STORAGE_INITIALIZER_METRICS_PUSH_CA", value_name = "PATH", help_heading = "Metrics")]
    pub metrics_push_ca: Option<PathBuf>,
}
