//! The settings of storage-rest: each is a flag and an environment variable, named as the Go bridge names them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use cluster::ClusterSettings;
use model_catalog::render::Format;
use service::auth::AccessSettings;
use service::http_client::TlsSettings;
use service::settings::{GoDuration, http_url};
use service::telemetry::{LogSettings, TraceSettings};
use service::tls::ServerTlsSettings;
use url::{Host, Url};

use crate::deliver::Pace;

mod backstage;
mod github;
mod storage;

pub use backstage::{BackstageAccess, BackstageSettings};
pub use github::{GithubSettings, GithubSettingsError};
pub use storage::{StorageSettings, StorageType};

/// Keeps catalog entries, hands them to location and tells Backstage.
#[derive(Debug, Clone, Parser)]
#[command(name = "storage-rest", version)]
pub struct Settings {
    /// Where to listen
    #[arg(
        id = "storage_listen_address",
        long = "listen-address",
        env = "STORAGE_LISTEN_ADDRESS",
        value_name = "IP:PORT",
        default_value = "0.0.0.0:7070"
    )]
    pub listen_address: SocketAddr,

    /// Where entries are kept
    #[command(flatten)]
    pub storage: StorageSettings,

    /// The largest body of a request, in bytes
    #[arg(long, env = "STORAGE_MAX_BODY_BYTES", value_name = "BYTES", default_value_t = 16 << 20, help_heading = "Storage")]
    pub max_body_bytes: usize,

    /// The format of the entries, by which location names their files: `CatalogInfoYamlFormat` or `JsonArrayFormat`
    #[arg(long, env = "NORMALIZER_FORMAT", value_name = "FORMAT", default_value_t)]
    pub format: Format,

    /// The location service that entries are delivered to [default: http://$POD_IP:9090 where POD_IP is set, else
    /// http://localhost:9090]
    #[arg(long, env = "LOCATION_URL", value_name = "URL", value_parser = http_url, help_heading = "Delivery")]
    pub location_url: Option<Url>,

    /// A PEM file, or a directory of them, with certificates to trust in location's, besides the system's
    #[arg(long, env = "LOCATION_CA", value_name = "FILE", help_heading = "Delivery")]
    pub location_ca: Option<PathBuf>,

    /// Take any certificate of location: anyone on the way can read the token
    #[arg(
        long, env = "LOCATION_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Delivery"
    )]
    pub location_insecure_skip_tls_verify: bool,

    /// The very certificate of a location in the same process
    #[arg(skip)]
    pub location_certificate: Option<PathBuf>,

    /// The pod's own address, set by the downward API in a sidecar
    #[arg(long, env = "POD_IP", value_name = "IP", help_heading = "Delivery")]
    pub pod_ip: Option<IpAddr>,

    /// The wait before a delivery that failed is tried again; it doubles with each failure
    #[arg(
        long,
        env = "DELIVERY_RETRY_MIN",
        value_name = "DURATION",
        default_value = "250ms",
        help_heading = "Delivery"
    )]
    pub delivery_retry_min: GoDuration,

    /// The longest wait before a delivery is tried again
    #[arg(long, env = "DELIVERY_RETRY_MAX", value_name = "DURATION", default_value = "30s", help_heading = "Delivery")]
    pub delivery_retry_max: GoDuration,

    /// How often everything that was delivered is compared with what is stored
    #[arg(
        long,
        env = "DELIVERY_RESYNC_INTERVAL",
        value_name = "DURATION",
        default_value = "60s",
        help_heading = "Delivery"
    )]
    pub delivery_resync_interval: GoDuration,

    /// How many deliveries to one peer are under way at once
    #[arg(long, env = "DELIVERY_CONCURRENCY", value_name = "COUNT", default_value_t = 8, help_heading = "Delivery")]
    pub delivery_concurrency: usize,

    /// HTTPS
    #[command(flatten)]
    pub tls: ServerTlsSettings,

    /// Who may write and read
    #[command(flatten)]
    pub access: AccessSettings,

    /// Backstage
    #[command(flatten)]
    pub backstage: BackstageSettings,

    /// Cluster access
    #[command(flatten)]
    pub cluster: ClusterSettings,

    /// Logs
    #[command(flatten)]
    pub log: LogSettings,

    /// Traces
    #[command(flatten)]
    pub traces: TraceSettings,
}

impl Settings {
    /// Where entries are delivered to.
    pub fn location_url(&self) -> Result<Url, url::ParseError> {
        if let Some(url) = &self.location_url {
            return Ok(url.clone());
        }
        let host: Host<String> = match self.pod_ip {
            Some(IpAddr::V4(address)) => Host::Ipv4(address),
            Some(IpAddr::V6(address)) => Host::Ipv6(address),
            None => Host::Domain("localhost".to_owned()),
        };
        Url::parse(&format!("http://{host}:9090"))
    }

    /// Whom to trust as location.
    pub fn location_tls(&self) -> TlsSettings {
        TlsSettings {
            ca_file: self.location_ca.clone(),
            insecure_skip_verify: self.location_insecure_skip_tls_verify,
            server_certificate: self.location_certificate.clone(),
        }
    }

    /// Location as Backstage sees it.
    pub fn bridge_url(&self) -> Result<Url, url::ParseError> {
        self.backstage.bridge_url.clone().map_or_else(|| self.location_url(), Ok)
    }

    /// How patient delivery is.
    pub fn pace(&self) -> Pace {
        let first_wait = self.delivery_retry_min.0.max(Duration::from_millis(1));
        Pace {
            first_wait,
            longest_wait: self.delivery_retry_max.0.max(first_wait),
            resync: self.delivery_resync_interval.0.max(Duration::from_millis(10)),
            concurrency: self.delivery_concurrency.clamp(1, 256),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::config_map::GoCompatible;

    fn parse(args: &[&str]) -> Result<Settings, clap::Error> {
        let args = std::iter::once("storage-rest").chain(args.iter().copied());
        service::settings::try_parse_from(args, |_| None)
    }

    #[test]
    fn defaults_are_those_of_the_go_bridge() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.listen_address.port(), 7070);
        assert_eq!(settings.location_url().unwrap().as_str(), "http://localhost:9090/");
        assert_eq!(settings.bridge_url().unwrap().as_str(), "http://localhost:9090/");
        assert_eq!(settings.backstage.location_type(settings.format), "url");
        assert_eq!(settings.storage.storage_type, None);
        assert!(!settings.backstage.push_to_rhdh);
    }

    #[test]
    fn a_sidecar_finds_its_location_by_the_pod_s_address() {
        for (address, url) in [("10.1.2.3", "http://10.1.2.3:9090/"), ("fd00::1", "http://[fd00::1]:9090/")] {
            let settings = parse(&["--pod-ip", address]).unwrap();
            assert_eq!(settings.location_url().unwrap().as_str(), url);
        }
        let given = parse(&["--pod-ip", "10.1.2.3", "--location-url", "http://location:1"]).unwrap();
        assert_eq!(given.location_url().unwrap().as_str(), "http://location:1/");
    }

    #[test]
    fn the_location_type_follows_the_format_unless_it_is_given() {
        let location_type = |args: &[&str]| {
            let settings = parse(args).unwrap();
            settings.backstage.location_type(settings.format).to_owned()
        };
        let json = ["--format", "JsonArrayFormat"];
        assert_eq!(location_type(&json), "rhdh-rhoai-bridge");
        assert_eq!(location_type(&["--bkstg-location-type", "url", json[0], json[1]]), "url");
    }

    #[test]
    fn a_storage_type_that_is_not_there_is_an_error_that_says_what_is() {
        let error = parse(&["--storage-type", "etcd"]).unwrap_err().to_string();
        for said in ["no such", "ConfigMap, Sql, Sqlite or GitHub", "STORAGE_TYPE"] {
            assert!(error.contains(said), "{error}");
        }
        for (text, named) in
            [("Sqlite", StorageType::Sqlite), ("Sql", StorageType::Sql), ("GitHub", StorageType::GitHub)]
        {
            assert_eq!(parse(&["--storage-type", text]).unwrap().storage.storage_type, Some(named));
        }
    }

    #[test]
    fn switches_take_a_value_or_none() {
        assert!(parse(&["--push-to-rhdh"]).unwrap().backstage.push_to_rhdh);
        assert!(!parse(&["--push-to-rhdh=false"]).unwrap().backstage.push_to_rhdh);
        assert!(parse(&["--push-to-rhdh=perhaps"]).is_err());
    }

    #[test]
    fn compatibility_with_a_go_bridge_is_a_switch_that_decides_itself_unless_it_is_set() {
        let layout = |args: &[&str]| parse(args).unwrap().storage.config_map_layout().go_compatible;
        assert_eq!(layout(&[]), GoCompatible::Auto);
        assert_eq!(layout(&["--configmap-go-compatible"]), GoCompatible::Always);
        assert_eq!(layout(&["--configmap-go-compatible=false"]), GoCompatible::Never);
        let error = parse(&["--configmap-go-compatible=perhaps"]).unwrap_err().to_string();
        assert!(error.contains("use auto, true or false"), "{error}");
    }

    #[test]
    fn tokens_are_never_printed() {
        let url = "postgres://bridge:planted-3@db.example.com/models";
        let secrets = ["--rhdh-token", "planted-1", "--k8s-token", "planted-2", "--database-url", url];
        let settings = parse(&secrets).unwrap();
        assert!(!format!("{settings:?}").contains("planted"));
    }
}
