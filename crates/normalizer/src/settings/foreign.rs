//! How far addresses are trusted that registries and clusters give, which are data.

use std::net::IpAddr;

use clap::ArgAction;
use service::guard::{Guard, Loopback};
use service::settings::CommaList;

/// What is done with addresses that were found, not given.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Found addresses")]
pub struct ForeignSettings {
    /// Ask registries that were discovered, and served APIs, on the bridge's own host, too [default: true; false
    /// where POD_IP says that the bridge is in a pod]
    #[arg(
        long, env = "ALLOW_LOOPBACK", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub allow_loopback: Option<bool>,

    /// Namespaces in which a discovered registry or catalog is sent the token, separated by commas, besides the bridge's
    /// own; * is all: then whoever may create a Service anywhere can have the token sent there
    #[arg(
        long,
        env = "REGISTRY_TOKEN_NAMESPACES",
        value_name = "NAMESPACE,...",
        default_value = "rhoai-model-registries,odh-model-registries,kubeflow"
    )]
    pub registry_token_namespaces: CommaList<String>,
}

impl ForeignSettings {
    /// Which addresses are asked by a bridge whose pod has the address `pod_ip`.
    pub fn guard(&self, pod_ip: Option<IpAddr>) -> Guard {
        // A pod's address that is a loopback address is somebody's stand-in for a pod.
        let allowed = self.allow_loopback.unwrap_or(pod_ip.is_none_or(|address| address.is_loopback()));
        Guard { loopback: if allowed { Loopback::Allowed } else { Loopback::Refused } }
    }

    /// Where registries are sent the token that were discovered by a bridge whose own namespace is `own`.
    pub fn token_namespaces(&self, own: &str) -> TokenNamespaces {
        let mut names = self.registry_token_namespaces.0.clone();
        names.push(own.to_owned());
        TokenNamespaces(names)
    }
}

/// The namespaces in which discovered registries are sent the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenNamespaces(Vec<String>);

impl TokenNamespaces {
    /// All, for registries that the settings name.
    pub fn all() -> Self {
        Self(vec!["*".to_owned()])
    }

    /// Whether what was found in that namespace is sent the token.
    pub fn include(&self, namespace: &str) -> bool {
        self.0.iter().any(|name| name == "*" || name == namespace)
    }
}
