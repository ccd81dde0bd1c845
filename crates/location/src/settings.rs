//! What can be set.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Parser};
use cluster::ClusterSettings;
use model_catalog::render::Format;
use service::auth::AccessSettings;
use service::http_client::TlsSettings;
use service::settings::{GoDuration, http_url};
use service::telemetry::{LogSettings, TraceSettings};
use service::tls::ServerTlsSettings;
use thiserror::Error;
use url::{Host, Url};

/// The port of storage-rest.
const STORAGE_PORT: u16 = 7070;
/// The admin port of the normalizer.
const NORMALIZER_PORT: u16 = 8080;

/// Serves the model catalog to Backstage: one document per entry, as storage holds it.
#[derive(Debug, Clone, Parser)]
#[command(name = "location", version)]
pub struct Settings {
    /// Where to listen
    #[arg(
        id = "location_listen_address",
        long = "listen-address",
        env = "LOCATION_LISTEN_ADDRESS",
        default_value = "0.0.0.0:9090"
    )]
    pub listen_address: SocketAddr,

    /// The URL of storage-rest [default: http://$POD_IP:7070 when POD_IP is set, else http://localhost:7070]
    #[arg(long, env = "STORAGE_URL", value_parser = http_url)]
    pub storage_url: Option<Url>,

    /// The pod's own address, as the downward API gives it to a sidecar
    #[arg(long, env = "POD_IP")]
    pub pod_ip: Option<IpAddr>,

    /// In which form the entries are: CatalogInfoYamlFormat or JsonArrayFormat. The same for normalizer, storage-rest and
    /// location
    #[arg(long, env = "NORMALIZER_FORMAT", default_value_t)]
    pub format: Format,

    /// How often to compare with storage, as a Go duration
    #[arg(long, env = "LOCATION_RESYNC_INTERVAL", default_value = "30s", value_parser = interval)]
    pub resync_interval: GoDuration,

    /// The largest request body to take, in bytes
    #[arg(long, env = "LOCATION_BODY_LIMIT", default_value_t = 16 << 20)]
    pub body_limit: usize,

    /// A PEM file, or a directory of them, with certificates to trust in storage-rest besides those of the system
    #[arg(long, env = "STORAGE_CA")]
    pub storage_ca: Option<PathBuf>,

    /// Take any certificate of storage-rest: anyone on the way can read the token
    #[arg(
        long, env = "STORAGE_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub storage_insecure_skip_tls_verify: bool,

    /// The very certificate of a storage-rest in the same process
    #[arg(skip)]
    pub storage_certificate: Option<PathBuf>,

    /// The URL of the normalizer's admin address, which the page for people asks for its sources [default:
    /// http://$POD_IP:8080 when POD_IP is set, else http://localhost:8080]
    #[arg(long, env = "NORMALIZER_URL", value_parser = http_url)]
    pub normalizer_url: Option<Url>,

    /// A PEM file, or a directory of them, with certificates to trust in the normalizer besides those of the system
    #[arg(long, env = "NORMALIZER_CA")]
    pub normalizer_ca: Option<PathBuf>,

    /// The very certificate of a normalizer in the same process
    #[arg(skip)]
    pub normalizer_certificate: Option<PathBuf>,

    /// Serve no page for people at `/`
    #[arg(
        long, env = "NO_UI", value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new()
    )]
    pub no_ui: bool,

    /// HTTPS
    #[command(flatten)]
    pub tls: ServerTlsSettings,

    /// Who may write and read
    #[command(flatten)]
    pub access: AccessSettings,

    /// The cluster that reviews the tokens of service accounts
    #[command(flatten)]
    pub cluster: ClusterSettings,

    /// What is logged and how
    #[command(flatten)]
    pub log: LogSettings,

    /// Traces
    #[command(flatten)]
    pub traces: TraceSettings,
}

/// An interval of no length would be a loop.
#[derive(Debug, Error)]
enum IntervalError {
    #[error(transparent)]
    Duration(#[from] service::settings::DurationError),
    #[error("it must be longer than nothing")]
    Zero,
}

fn interval(text: &str) -> Result<GoDuration, IntervalError> {
    let interval: GoDuration = text.parse()?;
    if interval.0 == Duration::ZERO { Err(IntervalError::Zero) } else { Ok(interval) }
}

impl Settings {
    /// Where storage-rest is.
    pub fn storage_url(&self) -> Result<Url, url::ParseError> {
        self.storage_url.clone().map_or_else(|| self.beside(STORAGE_PORT), Ok)
    }

    /// Where the normalizer is.
    pub fn normalizer_url(&self) -> Result<Url, url::ParseError> {
        self.normalizer_url.clone().map_or_else(|| self.beside(NORMALIZER_PORT), Ok)
    }

    /// A service in the same pod, else on the same machine.
    fn beside(&self, port: u16) -> Result<Url, url::ParseError> {
        let host = match self.pod_ip {
            Some(IpAddr::V4(address)) => Host::Ipv4(address),
            Some(IpAddr::V6(address)) => Host::Ipv6(address),
            None => Host::Domain("localhost".to_owned()),
        };
        format!("http://{host}:{port}").parse()
    }

    /// Whom to trust as storage-rest.
    pub fn storage_tls(&self) -> TlsSettings {
        TlsSettings {
            ca_file: self.storage_ca.clone(),
            insecure_skip_verify: self.storage_insecure_skip_tls_verify,
            server_certificate: self.storage_certificate.clone(),
        }
    }

    /// Whom to trust as the normalizer.
    pub fn normalizer_tls(&self) -> TlsSettings {
        TlsSettings {
            ca_file: self.normalizer_ca.clone(),
            server_certificate: self.normalizer_certificate.clone(),
            ..TlsSettings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> Result<Settings, clap::Error> {
        Settings::try_parse_from(std::iter::once("location").chain(args.iter().copied()))
    }

    #[test]
    fn the_normalizer_is_where_it_is_set_else_in_the_pod_else_on_this_machine() {
        let url = |args: &[&str]| settings(args).unwrap().normalizer_url().unwrap().to_string();
        assert_eq!(url(&[]), "http://localhost:8080/");
        assert_eq!(url(&["--pod-ip", "10.1.2.3"]), "http://10.1.2.3:8080/");
        assert_eq!(url(&["--pod-ip", "10.1.2.3", "--normalizer-url", "https://normalizer:1"]), "https://normalizer:1/");
    }

    #[test]
    fn storage_is_where_it_is_set_else_in_the_pod_else_on_this_machine() {
        let url = |args: &[&str]| settings(args).unwrap().storage_url().unwrap().to_string();
        assert_eq!(url(&[]), "http://localhost:7070/");
        assert_eq!(url(&["--pod-ip", "10.1.2.3"]), "http://10.1.2.3:7070/");
        assert_eq!(url(&["--pod-ip", "fd00::1"]), "http://[fd00::1]:7070/");
        assert_eq!(url(&["--pod-ip", "10.1.2.3", "--storage-url", "https://storage:1"]), "https://storage:1/");
    }

    #[test]
    fn defaults_are_those_of_the_go_bridge() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.listen_address.port(), 9090);
        assert_eq!(settings.format, Format::CatalogInfoYaml);
        assert_eq!(settings.resync_interval.to_string(), "30s");
    }

    #[test]
    fn bad_values_are_refused() {
        for args in [
            ["--format", "Yaml2"],
            ["--resync-interval", "0s"],
            ["--resync-interval", "30"],
            ["--storage-url", "localhost:7070"],
            ["--listen-address", "9090"],
            ["--body-limit", "much"],
        ] {
            let error = settings(&args).unwrap_err().to_string();
            assert!(error.contains(args[0]), "{error}");
        }
    }
}
