//! Where the registry is, and how it is asked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use secrecy::SecretString;
use service::http_client::TlsSettings;
use service::secret::{Secret, SecretError, SecretSetting};
use service::settings::{CommaList, GoDuration, secret};
use thiserror::Error;
use url::Url;

const TOKEN: SecretSetting = SecretSetting {
    value: "--registry-token / MODEL_REGISTRY_TOKEN",
    file: "--registry-token-file / MODEL_REGISTRY_TOKEN_FILE",
};

/// How registries are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Scheme {
    /// Without TLS
    #[default]
    Http,
    /// With TLS
    Https,
}

impl Scheme {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The registry of URIs that name none: `host`, `host:port`, or a URL with a path perhaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    is_url: bool,
}

/// A text does not say where a registry is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BaseUrlError {
    /// It is no URL.
    #[error("it must be HOST:PORT, or a URL that begins with http:// or https://")]
    Syntax,
    /// It holds a user name or a password.
    #[error("it must not carry credentials: a token has settings of its own")]
    Credentials,
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let text = text.trim();
        let base = Self { text: text.to_owned(), is_url: text.contains("://") };
        let url = base.url(Scheme::Http)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError::Credentials);
        }
        Ok(base)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl BaseUrl {
    /// The URL; `scheme` is for what has none.
    pub fn url(&self, scheme: Scheme) -> Result<Url, BaseUrlError> {
        let url: Result<Url, _> =
            if self.is_url { self.text.parse() } else { format!("{}://{}", scheme.as_str(), self.text).parse() };
        let url = url.map_err(|_| BaseUrlError::Syntax)?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(url),
            _ => Err(BaseUrlError::Syntax),
        }
    }
}

/// Where registries are, and how they are asked.
#[derive(Debug, Clone, Args)]
pub struct RegistrySettings {
    /// The registry of URIs that name none: HOST:PORT, or a URL
    #[arg(
        long,
        env = "MODEL_REGISTRY_BASE_URL",
        value_name = "HOST:PORT",
        default_value = "localhost:8080",
        help_heading = "Registry"
    )]
    pub registry_base_url: BaseUrl,

    /// How registries are spoken to, unless the base URL says it: http or https
    #[arg(
        long,
        env = "MODEL_REGISTRY_SCHEME",
        value_name = "SCHEME",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        ignore_case = true,
        help_heading = "Registry"
    )]
    pub registry_scheme: Scheme,

    /// The Service of registries that URIs name by their namespace
    #[arg(
        long,
        env = "MODEL_REGISTRY_SERVICE_NAME",
        value_name = "NAME",
        default_value = "model-registry-service",
        help_heading = "Registry"
    )]
    pub registry_service_name: String,

    /// The domain of the cluster's Services
    #[arg(
        long,
        env = "MODEL_REGISTRY_CLUSTER_DOMAIN",
        value_name = "DOMAIN",
        default_value = "svc.cluster.local",
        help_heading = "Registry"
    )]
    pub registry_cluster_domain: String,

    /// The bearer token for registries
    #[arg(
        long,
        env = "MODEL_REGISTRY_TOKEN",
        value_name = "TOKEN",
        value_parser = secret,
        hide_env_values = true,
        help_heading = "Registry"
    )]
    pub registry_token: Option<SecretString>,

    /// A file with that token, such as the one of the pod's service account; read again when it rotates
    #[arg(long, env = "MODEL_REGISTRY_TOKEN_FILE", value_name = "FILE", help_heading = "Registry")]
    pub registry_token_file: Option<PathBuf>,

    /// Other registries that are sent the token, by host, separated by commas; `*.DOMAIN` is all below a domain, `*` is all
    /// [default: that of the base URL, and Services of the cluster]
    #[arg(
        long,
        env = "MODEL_REGISTRY_TOKEN_HOSTS",
        value_name = "HOSTS",
        default_value = "",
        hide_default_value = true,
        help_heading = "Registry"
    )]
    pub registry_token_hosts: CommaList<String>,

    /// A PEM file, or a directory of them, with certificates to trust in registries' besides those of the system
    #[arg(long, env = "MODEL_REGISTRY_CA", value_name = "PATH", help_heading = "Registry")]
    pub registry_ca: Option<PathBuf>,

    /// Take any certificate of registries: anyone on the way can read the token
    #[arg(
        long, env = "MODEL_REGISTRY_INSECURE_SKIP_TLS_VERIFY", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new(), help_heading = "Registry"
    )]
    pub registry_insecure_skip_tls_verify: bool,

    /// How long a registry may take for one answer
    #[arg(
        long,
        env = "MODEL_REGISTRY_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        help_heading = "Registry"
    )]
    pub registry_timeout: GoDuration,

    /// For how long a registry that is in trouble is asked again
    #[arg(
        long,
        env = "MODEL_REGISTRY_RETRY_FOR",
        value_name = "DURATION",
        default_value = "2m",
        help_heading = "Registry"
    )]
    pub registry_retry_for: GoDuration,

    /// A directory with the entries of the Secret `storage-config`, a file each: for artifacts that name one by storageKey
    #[arg(long, env = "STORAGE_CONFIG_DIRECTORY", value_name = "DIRECTORY", help_heading = "Registry")]
    pub storage_config_directory: Option<PathBuf>,
}

impl RegistrySettings {
    /// The token, if one is given.
    pub fn token(&self) -> Result<Option<Secret>, SecretError> {
        Secret::from_settings(self.registry_token.as_ref(), self.registry_token_file.as_deref(), TOKEN)
    }

    /// Whom to trust.
    pub fn tls(&self) -> TlsSettings {
        TlsSettings {
            ca_file: self.registry_ca.clone(),
            insecure_skip_verify: self.registry_insecure_skip_tls_verify,
            ..TlsSettings::default()
        }
    }
}
