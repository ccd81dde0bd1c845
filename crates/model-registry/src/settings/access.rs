//! What can be set about who may use the registry.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use cluster::ClusterSettings;
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use service::settings::GoDuration;
use thiserror::Error;

const GRACE: &str = "5m";
const ADMIN_VERB: &str = "update";

/// Who may use the registry.
#[derive(Debug, Clone, Args)]
pub struct AccessSettings {
    /// A file of bearer tokens that may use the registry: a line for each, NAME:TOKEN, or NAME:TOKEN:admin for those that
    /// may archive; or one token and nothing else. Read again when it changes [default: no token is asked for]
    #[arg(long, env = "MR_AUTH_TOKEN_FILE", value_name = "FILE", help_heading = "Access")]
    pub auth_token_file: Option<PathBuf>,

    /// How long the previous token of a name is accepted after another one took its place in that file
    #[arg(long, env = "MR_AUTH_TOKEN_GRACE", value_name = "DURATION", default_value = GRACE, help_heading = "Access")]
    pub auth_token_grace: GoDuration,

    /// A Service of the cluster, NAMESPACE/NAME: whoever may `get` it there may use the registry, with a token that the
    /// cluster reviews
    #[arg(long, env = "MR_AUTH_KUBERNETES_SERVICE", value_name = "SERVICE", help_heading = "Access")]
    pub auth_kubernetes_service: Option<ServiceName>,

    /// What one must be allowed to do to that Service to archive, and to take back from the archive
    #[arg(
        long, env = "MR_AUTH_KUBERNETES_ADMIN_VERB", value_name = "VERB", default_value = ADMIN_VERB,
        help_heading = "Access"
    )]
    pub auth_kubernetes_admin_verb: String,

    /// The audience that tokens of the cluster must have [default: the API server's own]
    #[arg(long, env = "MR_AUTH_KUBERNETES_AUDIENCE", value_name = "TEXT", help_heading = "Access")]
    pub auth_kubernetes_audience: Option<String>,

    /// A header that names the user, for the log of changes, as X-Forwarded-User: only behind a proxy that sets it and that
    /// nobody can go round [default: none is believed]
    #[arg(
        long, env = "MR_TRUST_USER_HEADER", value_name = "HEADER", value_parser = user_header, help_heading = "Access"
    )]
    pub trust_user_header: Option<HeaderName>,

    /// The cluster that reviews tokens
    #[command(flatten)]
    pub cluster: ClusterSettings,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            auth_token_file: None,
            auth_token_grace: GoDuration(Duration::from_mins(5)),
            auth_kubernetes_service: None,
            auth_kubernetes_admin_verb: ADMIN_VERB.to_owned(),
            auth_kubernetes_audience: None,
            trust_user_header: None,
            cluster: ClusterSettings::default(),
        }
    }
}

/// A Service of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A text names no Service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a Service is given as NAMESPACE/NAME")]
pub struct ServiceNameError;

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ServiceName {
    type Err = ServiceNameError;

    fn from_str(text: &str) -> Result<Self, ServiceNameError> {
        let (namespace, name) = text.split_once('/').ok_or(ServiceNameError)?;
        let is_label = |part: &str| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (1..=63).contains(&part.len()) && part.chars().all(inner)
        };
        if is_label(namespace) && is_label(name) {
            Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
        } else {
            Err(ServiceNameError)
        }
    }
}

/// What is in the header is written down: it must not be a secret.
fn user_header(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_str(text).map_err(|_| "this is no name of a header".to_owned())?;
    if [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(&name) {
        return Err(format!("{name} holds secrets, and what names users is written into the log of changes"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_namespace_and_a_name() {
        let service: ServiceName = "models/registry-1".parse().unwrap();
        assert_eq!((service.namespace.as_str(), service.name.as_str()), ("models", "registry-1"));
        for text in ["", "registry", "/registry", "models/", "models/a/b", "Models/a", "models/a b"] {
            assert!(text.parse::<ServiceName>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_header_of_secrets_names_users() {
        assert_eq!(user_header("X-Forwarded-User").unwrap(), "x-forwarded-user");
        for name in ["authorization", "Cookie", "proxy-authorization", "a b", ""] {
            assert!(user_header(name).is_err(), "{name}");
        }
    }
}
