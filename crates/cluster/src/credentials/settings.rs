//! The settings of a cluster connection, as flags and environment variables.

use calls::Calls;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::{ContextName, CredentialsError};

/// Cluster access. Every setting is optional: without any, the pod's service account or `~/.kube/config` is used,
/// and without those the bridge works without a cluster.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterSettings {
    /// Kubeconfig file, or several separated by `:` as kubectl takes them [default: the pod's service account, else
    /// ~/.kube/config].
    #[arg(long, env = "KUBECONFIG", value_name = "FILES")]
    pub kubeconfig: Option<String>,

    /// Context of the kubeconfig [default: its current context].
    #[arg(long, env = "KUBE_CONTEXT", value_name = "NAME")]
    pub kube_context: Option<String>,

    /// Contexts of the kubeconfig, separated by commas: each is a cluster to watch, with failures of its own
    /// [default: one cluster].
    #[arg(long, env = "KUBE_CONTEXTS", value_name = "NAMES", value_delimiter = ',')]
    pub kube_contexts: Vec<String>,

    /// Bearer token for the cluster; used in place of the credentials of the kubeconfig.
    #[arg(long, env = "K8S_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = secret)]
    pub k8s_token: Option<SecretString>,

    /// A file with that token, read again when it rotates.
    #[arg(long, env = "K8S_TOKEN_FILE", value_name = "FILE")]
    pub k8s_token_file: Option<PathBuf>,

    /// Namespace where the ConfigMap lives [default: POD_NAMESPACE, the service account's, the kubeconfig context's,
    /// `default`].
    #[arg(long, env = "NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// How requests to API servers are seen; set by the service, not by people.
    #[arg(skip)]
    pub calls: Calls,

    /// Namespace of the pod that runs the bridge; set by the downward API.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub pod_namespace: Option<String>,

    /// Namespaces to watch where a cluster-wide watch is not permitted, separated by commas [default: NAMESPACE].
    #[arg(long, env = "WATCH_NAMESPACES", value_name = "NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "clap's value parsers return a Result")]
fn secret(value: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(value.to_owned()))
}

impl ClusterSettings {
    pub(super) fn kubeconfig(&self) -> Option<&str> {
        set(self.kubeconfig.as_deref())
    }

    pub(super) fn kube_context(&self) -> Option<&str> {
        set(self.kube_context.as_deref())
    }

    /// The contexts of `KUBE_CONTEXTS`, in their order, without doubles; none: there is one cluster.
    pub fn contexts(&self) -> Vec<ContextName> {
        let mut contexts: Vec<ContextName> = Vec::new();
        for name in self.kube_contexts.iter().filter_map(|name| set(Some(name))) {
            let context = ContextName::new(name);
            if !contexts.contains(&context) {
                contexts.push(context);
            }
        }
        contexts
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        set(self.namespace.as_deref())
    }

    pub(super) fn pod_namespace(&self) -> Option<&str> {
        set(self.pod_namespace.as_deref())
    }

    pub(super) fn k8s_token(&self) -> Option<SecretString> {
        let token = self.k8s_token.as_ref()?;
        set(Some(token.expose_secret())).map(|text| SecretString::from(text.to_owned()))
    }

    pub(super) fn k8s_token_file(&self) -> Option<&Path> {
        self.k8s_token_file.as_deref().filter(|file| !file.as_os_str().is_empty())
    }

    /// Whether a token is given that takes the place of all other credentials.
    pub(super) fn gives_token(&self) -> bool {
        self.k8s_token().is_some() || self.k8s_token_file().is_some()
    }

    /// The namespaces of `WATCH_NAMESPACES`, checked, sorted, without doubles.
    pub fn watched_namespaces(&self) -> Result<Vec<String>, CredentialsError> {
        let mut namespaces = self
            .watch_namespaces
            .iter()
            .filter_map(|name| set(Some(name)))
            .map(|name| checked_namespace("WATCH_NAMESPACES", name))
            .collect::<Result<Vec<_>, _>>()?;
        namespaces.sort();
        namespaces.dedup();
        Ok(namespaces)
    }
}

/// Blank counts as unset.
fn set(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

/// A namespace becomes part of request paths, so it must be one.
pub(super) fn checked_namespace(setting: &'static str, value: &str) -> Result<String, CredentialsError> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let valid = !value.is_empty()
        && value.len() <= 63
        && value.chars().all(inner)
        && !value.starts_with('-')
        && !value.ends_with('-');
    if valid {
        return Ok(value.to_owned());
    }
    Err(CredentialsError::Invalid {
        setting,
        reason: format!("{value:?} is not a namespace name (at most 63 of a-z, 0-9 and -)"),
    })
}
