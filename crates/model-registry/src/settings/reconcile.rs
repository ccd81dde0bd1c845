//! What the reconciler can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use cluster::ClusterSettings;
use secrecy::SecretString;
use service::settings::{GoDuration, http_url, positive_duration, secret};
use service::telemetry::LogSettings;
use service::tls::ServerTlsSettings;
use url::Url;

/// What `reconcile` can be told.
#[derive(Debug, Clone, Args)]
pub struct ReconcileSettings {
    /// The registry to write to, over its REST API
    #[arg(long, visible_alias = "registry-url", env = "MR_URL", value_parser = http_url, help_heading = "Registry")]
    pub url: Url,

    /// The bearer token to send to it
    #[arg(long, env = "MR_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = secret, help_heading = "Registry")]
    pub token: Option<SecretString>,

    /// A file with that token, read again when it rotates
    #[arg(long, env = "MR_TOKEN_FILE", value_name = "FILE", help_heading = "Registry")]
    pub token_file: Option<PathBuf>,

    /// A PEM file, or a directory of them, with certificates to trust in it, besides the system's
    #[arg(long, env = "MR_CA", value_name = "FILE", help_heading = "Registry")]
    pub ca: Option<PathBuf>,

    /// What the registry is called: services whose label `name` says another are left to another reconciler [default: all
    /// are recorded]
    #[arg(long, env = "MR_REGISTRY_NAME", value_name = "NAME", help_heading = "Registry")]
    pub registry_name: Option<String>,

    /// The namespace of the registry: services whose label `namespace` says another are left to another reconciler
    /// [default: all are recorded]
    #[arg(long, env = "MR_REGISTRY_NAMESPACE", value_name = "NAMESPACE", help_heading = "Registry")]
    pub registry_namespace: Option<String>,

    /// What the cluster is called in the registry: a record is withdrawn by the reconciler of its own cluster alone, so give
    /// each cluster that writes to one registry a name. With KUBE_CONTEXTS each context's name is used
    #[arg(long, env = "MR_CLUSTER_NAME", value_name = "NAME", default_value = "default", help_heading = "Records")]
    pub cluster_name: String,

    /// Write the id of its record to each InferenceService, as the label `inference-service-id`; without it nothing is
    /// written to the cluster
    #[arg(
        long, env = "MR_WRITE_LABEL", value_name = "BOOL", default_value_t = true, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new(), help_heading = "Records"
    )]
    pub write_label: bool,

    /// How often all records are read and compared, besides at each change of the cluster
    #[arg(
        long, env = "MR_RESYNC_INTERVAL", value_name = "DURATION", default_value = "5m", value_parser = positive_duration,
        help_heading = "Records"
    )]
    pub resync_interval: GoDuration,

    /// How long to wait after a failure of the registry; it doubles with each further one
    #[arg(
        long, env = "MR_RETRY_MIN", value_name = "DURATION", default_value = "1s", value_parser = positive_duration,
        help_heading = "Records"
    )]
    pub retry_min: GoDuration,

    /// How long to wait after a failure of the registry at most
    #[arg(
        long, env = "MR_RETRY_MAX", value_name = "DURATION", default_value = "1m", value_parser = positive_duration,
        help_heading = "Records"
    )]
    pub retry_max: GoDuration,

    /// Compare once, write what there is to write, and end; with an error if that could not be done
    #[arg(long, env = "MR_ONCE", value_parser = BoolishValueParser::new(), help_heading = "Records")]
    pub once: bool,

    /// Where health and metrics are served
    #[arg(long, env = "MR_ADMIN_ADDRESS", value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// The cluster whose InferenceServices are recorded
    #[command(flatten)]
    pub cluster: ClusterSettings,

    /// HTTPS
    #[command(flatten)]
    pub tls: ServerTlsSettings,

    /// What is logged and how
    #[command(flatten)]
    pub log: LogSettings,
}
