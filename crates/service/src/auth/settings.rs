//! What can be set about who may write and read.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use secrecy::SecretString;
use thiserror::Error;

use crate::secret::{Secret, SecretError, SecretSetting};
use crate::settings::{CommaList, GoDuration, secret};

/// The token that the services of a bridge know each other by.
#[derive(Debug, Clone, Default, Args)]
pub struct BridgeTokenSettings {
    /// The secret that the three services share: sent with each request to another one, and asked of whoever writes
    #[arg(
        long, env = "BRIDGE_TOKEN", value_name = "TOKEN", value_parser = secret, hide_env_values = true,
        help_heading = "Security"
    )]
    pub bridge_token: Option<SecretString>,

    /// A file with that secret, or with a service account's token to send; read again when it rotates
    #[arg(long, env = "BRIDGE_TOKEN_FILE", value_name = "FILE", help_heading = "Security")]
    pub bridge_token_file: Option<PathBuf>,
}

impl BridgeTokenSettings {
    /// The token, where one is given.
    pub fn secret(&self) -> Result<Option<Secret>, SecretError> {
        Secret::from_settings(
            self.bridge_token.as_ref(),
            self.bridge_token_file.as_deref(),
            SecretSetting { value: "--bridge-token / BRIDGE_TOKEN", file: "--bridge-token-file / BRIDGE_TOKEN_FILE" },
        )
    }
}

/// Who may write and read.
#[derive(Debug, Clone, Args)]
pub struct AccessSettings {
    /// The shared token
    #[command(flatten)]
    pub token: BridgeTokenSettings,

    /// How long the previous token of BRIDGE_TOKEN_FILE is accepted after a rotation
    #[arg(long, env = "BRIDGE_TOKEN_GRACE", value_name = "DURATION", default_value = "5m", help_heading = "Security")]
    pub bridge_token_grace: GoDuration,

    /// Kubernetes service accounts that may write, separated by commas, each NAMESPACE:NAME; their tokens are reviewed by
    /// the cluster
    #[arg(
        long,
        env = "BRIDGE_ALLOWED_SERVICE_ACCOUNTS",
        value_name = "ACCOUNT,...",
        default_value_t,
        hide_default_value = true,
        help_heading = "Security"
    )]
    pub bridge_allowed_service_accounts: CommaList<ServiceAccount>,

    /// The audience that tokens of service accounts must have [default: the API server's own]
    #[arg(long, env = "BRIDGE_TOKEN_AUDIENCE", value_name = "TEXT", help_heading = "Security")]
    pub bridge_token_audience: Option<String>,

    /// Ask readers, too, for a token that may write; health, readiness and metrics stay open
    #[arg(
        long, env = "REQUIRE_READ_TOKEN", value_name = "BOOL", default_value_t = false, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set,
        value_parser = BoolishValueParser::new(), help_heading = "Security"
    )]
    pub require_read_token: bool,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            token: BridgeTokenSettings::default(),
            bridge_token_grace: GoDuration(Duration::from_mins(5)),
            bridge_allowed_service_accounts: CommaList::default(),
            bridge_token_audience: None,
            require_read_token: false,
        }
    }
}

impl AccessSettings {
    /// Whether there are service accounts whose tokens a cluster must review.
    pub fn needs_reviewer(&self) -> bool {
        !self.bridge_allowed_service_accounts.0.is_empty()
    }
}

/// A service account of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

impl ServiceAccount {
    /// What Kubernetes calls it as a user.
    pub fn username(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}

/// A text names no service account.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a service account is given as NAMESPACE:NAME")]
pub struct ServiceAccountError;

impl FromStr for ServiceAccount {
    type Err = ServiceAccountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text.split_once(':').ok_or(ServiceAccountError)?;
        let valid = |part: &str| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            (1..=253).contains(&part.len()) && part.chars().all(inner)
        };
        if valid(namespace) && valid(name) {
            Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
        } else {
            Err(ServiceAccountError)
        }
    }
}
