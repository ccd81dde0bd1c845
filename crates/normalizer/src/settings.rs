//! The normalizer's settings: every one a flag and an environment variable.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Parser};
use cluster::ClusterSettings;
use model_catalog::entities::Extra;
use model_catalog::names::{NonEmpty, Owner};
use model_catalog::render::{Format, RenderOptions};
use secrecy::SecretString;
use service::auth::BridgeTokenSettings;
use service::secret::{Secret, SecretError, SecretSetting};
use service::settings::{CommaList, GoDuration, http_url, positive_duration, secret};
use service::telemetry::{LogSettings, TraceSettings};
use service::tls::ServerTlsSettings;
use url::Url;

pub mod foreign;

use foreign::ForeignSettings;

use crate::project::Question;
use crate::project::filter::{Filter, Selector};
use crate::project::owners::{NamespaceOwners, OwnerKind, Owners};

/// Reads Model Registries and KServe InferenceServices, turns them into catalog entries, and pushes those to
/// storage-rest.
#[derive(Debug, Clone, Parser)]
#[command(name = "normalizer", version)]
pub struct Settings {
    /// Where health and metrics are served
    #[arg(long, env = "NORMALIZER_ADMIN_ADDRESS", value_name = "IP:PORT", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Model registries by URL, separated by commas, each perhaps as NAME=URL [default: MR_ROUTE, else those found in
    /// the cluster]
    #[arg(
        long,
        env = "MR_URL",
        value_name = "URL,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Registries"
    )]
    pub mr_url: CommaList<NamedUrl>,

    /// Model registries by OpenShift Route, separated by commas, each NAME or NAMESPACE:NAME
    #[arg(
        long,
        env = "MR_ROUTE",
        value_name = "ROUTE,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Registries"
    )]
    pub mr_route: CommaList<String>,

    /// Model catalogs by URL, separated by commas [default: those found in the cluster, and beside each registry]
    #[arg(
        long,
        env = "CATALOG_URL",
        value_name = "URL,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Registries"
    )]
    pub catalog_url: CommaList<NamedUrl>,

    /// The bearer token for registries and catalogs [default: the Kubernetes token]
    #[arg(long, env = "KFMR_TOKEN", value_name = "TOKEN", value_parser = secret, hide_env_values = true, help_heading = "Registries")]
    pub kfmr_token: Option<SecretString>,

    /// A file with that token, read again when it rotates
    #[arg(long, env = "KFMR_TOKEN_FILE", value_name = "FILE", help_heading = "Registries")]
    pub kfmr_token_file: Option<PathBuf>,

    /// A PEM file, or a directory of them, with certificates to trust in registries', besides the system's
    #[arg(long, env = "REGISTRY_CA", value_name = "FILE", help_heading = "Registries")]
    pub registry_ca: Option<PathBuf>,

    /// Take any certificate of registries: anyone on the way can read the token
    #[arg(
        long, env = "REGISTRY_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Registries"
    )]
    pub registry_insecure_skip_tls_verify: bool,

    /// How many requests to one registry are under way at once
    #[arg(
        long, env = "REGISTRY_CONCURRENCY", value_name = "COUNT", default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Registries"
    )]
    pub registry_concurrency: u16,

    /// How often registries are read
    #[arg(
        long, env = "POLLING_INTERVAL", value_name = "DURATION", default_value = "2m", value_parser = positive_duration,
        help_heading = "Registries"
    )]
    pub polling_interval: GoDuration,

    /// How often registries are read completely, which catches what reading only the news cannot show
    #[arg(
        long, env = "RESYNC_INTERVAL", value_name = "DURATION", default_value = "30m", value_parser = positive_duration,
        help_heading = "Registries"
    )]
    pub resync_interval: GoDuration,

    /// How often registries are asked, in between, whether there is anything new; 0 turns it off
    #[arg(long, env = "PROBE_INTERVAL", value_name = "DURATION", default_value = "10s", help_heading = "Registries")]
    pub probe_interval: GoDuration,

    /// How long a discovered registry must be gone before its entries are removed
    #[arg(long, env = "SOURCE_GRACE", value_name = "DURATION", default_value = "10m", help_heading = "Registries")]
    pub source_grace: GoDuration,

    /// Above which share of a source's entries a removal waits for a second complete read that agrees
    #[arg(
        long, env = "MASS_REMOVAL_SHARE", value_name = "SHARE", default_value_t = 0.5, value_parser = share,
        help_heading = "Registries"
    )]
    pub mass_removal_share: f64,

    /// The storage service [default: http://localhost:7070, or port 7070 of POD_IP where that is set]
    #[arg(long, env = "STORAGE_URL", value_name = "URL", value_parser = http_url, help_heading = "Publishing")]
    pub storage_url: Option<Url>,

    /// A PEM file, or a directory of them, with certificates to trust in storage's, besides the system's
    #[arg(long, env = "STORAGE_CA", value_name = "FILE", help_heading = "Publishing")]
    pub storage_ca: Option<PathBuf>,

    /// Take any certificate of storage: anyone on the way can read the token
    #[arg(
        long, env = "STORAGE_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Publishing"
    )]
    pub storage_insecure_skip_tls_verify: bool,

    /// The very certificate of a storage in the same process
    #[arg(skip)]
    pub storage_certificate: Option<PathBuf>,

    /// The format of entries, the same in all three services: CatalogInfoYamlFormat or JsonArrayFormat
    #[arg(long, env = "NORMALIZER_FORMAT", value_name = "FORMAT", default_value_t, help_heading = "Publishing")]
    pub format: Format,

    /// Owner of models that name none: a user, or user:NAME, group:NAMESPACE/NAME
    #[arg(
        long,
        env = "DEFAULT_OWNER",
        value_name = "OWNER",
        default_value = "rhdh-rhoai-bridge",
        help_heading = "Publishing"
    )]
    pub default_owner: Owner,

    /// What owners are that are given by their name alone: user or group
    #[arg(long, env = "OWNER_KIND", value_name = "KIND", default_value_t, help_heading = "Publishing")]
    pub owner_kind: OwnerKind,

    /// Owners of services that name none, by their namespace: NAMESPACE=OWNER, separated by commas
    #[arg(
        long,
        env = "NAMESPACE_OWNERS",
        value_name = "NAMESPACE=OWNER,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Publishing"
    )]
    pub namespace_owners: NamespaceOwners,

    /// Take the owners of services that name none from the annotation rhdh.io/owner of their namespace; needs the
    /// permission to watch namespaces
    #[arg(
        long, env = "NAMESPACE_ANNOTATIONS", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Publishing"
    )]
    pub namespace_annotations: bool,

    /// Lifecycle of models that name none
    #[arg(
        long,
        env = "DEFAULT_LIFECYCLE",
        value_name = "TEXT",
        default_value = "development",
        help_heading = "Publishing"
    )]
    pub default_lifecycle: NonEmpty,

    /// Which entries there are, separated by commas: globs over REGISTRY/MODEL and NAMESPACE/SERVICE, property:KEY,
    /// property:KEY=GLOB [default: all]
    #[arg(
        long,
        env = "INCLUDE",
        value_name = "SELECTOR,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Publishing"
    )]
    pub include: CommaList<Selector>,

    /// Which of these are left out, in the same form
    #[arg(
        long,
        env = "EXCLUDE",
        value_name = "SELECTOR,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Publishing"
    )]
    pub exclude: CommaList<Selector>,

    /// What is published besides, separated by commas: ai-model-server-api, for RHDH 2
    #[arg(
        long,
        env = "EMIT",
        value_name = "WHAT,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Publishing"
    )]
    pub emit: CommaList<Extra>,

    /// Ask served APIs for their OpenAPI document, for models that give no API Spec
    #[arg(
        long, env = "FETCH_OPENAPI", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Publishing"
    )]
    pub fetch_openapi: bool,

    /// Ask OpenAI-compatible servers which models they serve
    #[arg(
        long, env = "PROBE_MODELS", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Publishing"
    )]
    pub probe_models: bool,

    /// The location service as readers of model cards reach it [default: BRIDGE_URL, else http://localhost:9090]
    #[arg(long, env = "BRIDGE_PUBLIC_URL", value_name = "URL", value_parser = http_url, help_heading = "Publishing")]
    pub bridge_public_url: Option<Url>,

    /// The location service as Backstage sees it, for model cards when BRIDGE_PUBLIC_URL is not set
    #[arg(long, env = "BRIDGE_URL", value_name = "URL", value_parser = http_url, help_heading = "Publishing")]
    pub bridge_url: Option<Url>,

    /// The pod's address, set by the downward API in a sidecar
    #[arg(long, env = "POD_IP", value_name = "IP", help_heading = "Publishing")]
    pub pod_ip: Option<IpAddr>,

    /// HTTPS
    #[command(flatten)]
    pub tls: ServerTlsSettings,

    /// The token that storage asks for
    #[command(flatten)]
    pub token: BridgeTokenSettings,

    /// Files with InferenceServices to show in place of a cluster's, separated by commas
    #[arg(
        long,
        env = "KSERVE_MANIFESTS",
        value_name = "FILE,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Cluster access"
    )]
    pub manifests: CommaList<String>,

    /// Read no cluster, even where one is configured
    #[arg(
        long, env = "NO_CLUSTER", value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Cluster access"
    )]
    pub no_cluster: bool,

    /// Found addresses
    #[command(flatten)]
    pub foreign: ForeignSettings,

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
    /// Where storage is.
    pub fn storage(&self) -> Result<Url, url::ParseError> {
        match (&self.storage_url, self.pod_ip) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(ip)) => Url::parse(&format!("http://{}", SocketAddr::new(ip, 7070))),
            (None, None) => Url::parse("http://localhost:7070"),
        }
    }

    /// Where readers find model cards.
    pub fn location_base(&self) -> Result<Url, url::ParseError> {
        let given = self.bridge_public_url.as_ref().or(self.bridge_url.as_ref());
        given.cloned().map_or_else(|| Url::parse("http://localhost:9090"), Ok)
    }
}

impl Settings {
    /// The token for registries and catalogs, where one is given.
    pub fn registry_token(&self) -> Result<Option<Secret>, SecretError> {
        Secret::from_settings(
            self.kfmr_token.as_ref(),
            self.kfmr_token_file.as_deref(),
            SecretSetting { value: "--kfmr-token / KFMR_TOKEN", file: "--kfmr-token-file / KFMR_TOKEN_FILE" },
        )
    }

    /// Which entries there are.
    pub fn filter(&self) -> Filter {
        Filter { include: self.include.0.clone(), exclude: self.exclude.0.clone() }
    }

    /// Who owns what.
    pub fn owners(&self) -> Owners {
        Owners { kind: self.owner_kind, by_namespace: self.namespace_owners.clone() }
    }

    /// What is published besides.
    pub fn render_options(&self) -> RenderOptions {
        RenderOptions { emit: self.emit.0.iter().copied().collect() }
    }

    /// What served APIs are asked.
    pub fn questions(&self) -> BTreeSet<Question> {
        let wanted = [(self.fetch_openapi, Question::OpenApi), (self.probe_models, Question::Models)];
        wanted.into_iter().filter(|(on, _)| *on).map(|(_, question)| question).collect()
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("it must be between 0 and 1".to_owned()) }
}

/// A URL, perhaps with the name under which its entries are remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUrl {
    /// The name; without one the URL's own host and path.
    pub name: String,
    /// The URL.
    pub url: Url,
}

impl FromStr for NamedUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if !name.contains("://") => (Some(name.trim()), url),
            _ => (None, text),
        };
        let url = http_url(url).map_err(|error| format!("`{}`: {error}", without_credentials(url)))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL must not carry credentials: give the token with KFMR_TOKEN".to_owned());
        }
        let own = || {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path().trim_end_matches('/'))
        };
        let name = name.filter(|name| !name.is_empty()).map_or_else(own, str::to_owned);
        Ok(Self { name, url })
    }
}

fn without_credentials(url: &str) -> &str {
    url.rsplit('@').next().unwrap_or(url)
}

impl std::fmt::Display for NamedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.url)
    }
}
