//! Whether a kubeconfig's cluster is reached through a proxy. The kube crate compares `NO_PROXY` with the proxy's own
//! address, so the choice between a direct connection and `HTTPS_PROXY` is made here.

use http::Uri;

use super::{CredentialsError, Environment};

/// The proxy of the environment for this cluster address.
pub(super) fn from_environment(cluster: &Uri, environment: &Environment) -> Result<Option<Uri>, CredentialsError> {
    let Some(host) = cluster.host().filter(|_| cluster.scheme_str() == Some("https")) else {
        return Ok(None);
    };
    let excluded = environment.get("NO_PROXY").or_else(|| environment.get("no_proxy")).unwrap_or_default();
    if excluded.split(',').any(|rule| excludes(rule.trim(), host)) {
        return Ok(None);
    }
    let Some(proxy) = environment.get("HTTPS_PROXY").or_else(|| environment.get("https_proxy")) else {
        return Ok(None);
    };
    // The value may hold a password, so the message does not repeat it.
    proxy
        .trim()
        .parse()
        .map(Some)
        .map_err(|_| CredentialsError::Invalid { setting: "HTTPS_PROXY", reason: "not a URL".to_owned() })
}

fn excludes(rule: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let rule = rule.to_ascii_lowercase();
    if rule == "*" {
        return true;
    }
    let suffix = rule.trim_start_matches('*').trim_start_matches('.');
    !suffix.is_empty() && (host == suffix || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
}
