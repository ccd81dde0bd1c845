//! The address of a registry from its Service: the annotation of the operator, or the name inside the cluster.

use url::Url;

use crate::owned::Port;

/// Where the operator writes the address that works from outside.
pub(super) const ANNOTATION: &str = "routing.opendatahub.io/external-address-rest";

/// Behind kube-rbac-proxy.
const HTTPS_PORT: &str = "https-api";
/// Plain.
const HTTP_PORT: &str = "http-api";

/// `host:port`, `gateway-host/path`, or either with a scheme.
pub(super) fn external(text: &str, ports: &[Port]) -> Result<Url, String> {
    let complete = if text.starts_with("https://") || text.starts_with("http://") {
        text.to_owned()
    } else {
        format!("{}://{text}", external_scheme(text, ports))
    };
    let invalid = |why: &str| format!("annotation {ANNOTATION} {text:?} is not an address: {why}");
    let url = Url::parse(&complete).map_err(|error| invalid(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("annotation {ANNOTATION} must not hold credentials"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("it has a query or a fragment"));
    }
    Ok(url)
}

/// The port's name tells, except that 443 always speaks TLS. Without any hint an external address is taken for TLS.
fn external_scheme(text: &str, ports: &[Port]) -> &'static str {
    let authority = text.split('/').next().unwrap_or_default();
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    match api_port(ports) {
        Some((scheme, _)) if port != Some(443) => scheme,
        _ => "https",
    }
}

/// The address inside the cluster.
pub(super) fn internal(namespace: &str, name: &str, ports: &[Port]) -> Result<Url, String> {
    let Some((scheme, port)) = api_port(ports) else {
        return Err(format!("Service has no port named {HTTPS_PORT} or {HTTP_PORT}; set MR_URL to its address"));
    };
    let text = format!("{scheme}://{name}.{namespace}.svc.cluster.local:{port}");
    Url::parse(&text).map_err(|error| format!("{text:?} is not a URL: {error}"))
}

fn api_port(ports: &[Port]) -> Option<(&'static str, u16)> {
    let named = |name: &str| ports.iter().find(|port| port.name.as_deref() == Some(name)).map(|port| port.port);
    named(HTTPS_PORT).map(|port| ("https", port)).or_else(|| named(HTTP_PORT).map(|port| ("http", port)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn port(name: &str, port: u16) -> Port {
        Port { name: Some(name.to_owned()), port, target_port: None }
    }

    #[rstest]
    #[case::https_port("registry.example.com:8443", "https-api", "https://registry.example.com:8443/")]
    #[case::http_port("registry.example.com:8080", "http-api", "http://registry.example.com:8080/")]
    #[case::port_443_is_tls("registry.example.com:443", "http-api", "https://registry.example.com/")]
    #[case::path_kept("gateway.example.com/registry/a", "https-api", "https://gateway.example.com/registry/a")]
    #[case::path_with_port("gateway.example.com:8443/a/", "https-api", "https://gateway.example.com:8443/a/")]
    #[case::scheme_honoured("http://registry.example.com:443", "https-api", "http://registry.example.com:443/")]
    #[case::ipv6("[2001:db8::1]:443", "http-api", "https://[2001:db8::1]/")]
    #[case::no_hint("registry.example.com", "grpc", "https://registry.example.com/")]
    fn an_external_address_becomes_a_url(#[case] text: &str, #[case] name: &str, #[case] expected: &str) {
        let url = external(text, &[port(name, 8443)]).unwrap();
        assert_eq!(url.as_str(), expected);
    }

    #[rstest]
    #[case::nothing_but_a_port(":443")]
    #[case::credentials("https://user:secret@host")]
    #[case::query("host:443/a?b=c")]
    #[case::blank_inside("ho st:443")]
    fn an_unusable_external_address_is_a_problem(#[case] text: &str) {
        let error = external(text, &[]).unwrap_err();
        assert!(error.contains(ANNOTATION), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn inside_the_cluster_the_port_behind_the_proxy_is_preferred() {
        let url = internal("ns", "reg", &[port("http-api", 8080), port("https-api", 8443)]).unwrap();
        assert_eq!(url.as_str(), "https://reg.ns.svc.cluster.local:8443/");
        let url = internal("ns", "reg", &[port("http-api", 8080)]).unwrap();
        assert_eq!(url.as_str(), "http://reg.ns.svc.cluster.local:8080/");
        assert!(internal("ns", "reg", &[port("grpc", 9090)]).unwrap_err().contains("MR_URL"));
    }
}
