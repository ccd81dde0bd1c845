//! Where the registry of a reading is, and whether it may have the token.

use url::{Host, Url};

use crate::settings::{RegistrySettings, Scheme};
use crate::uri::{Reading, RegistryUri};
use crate::{Failure, Kind};

/// A reading of a URI, and the registry that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) reading: Reading,
    pub(super) base: Url,
    /// Whether the host may be a model in truth.
    pub(super) is_guess: bool,
    pub(super) may_have_token: bool,
}

impl Address {
    /// `host` or `host:port`.
    pub(super) fn host(&self) -> &str {
        self.base.authority()
    }

    pub(super) fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether it is one name without a domain and a port, as names of models often are.
    pub(super) fn is_plain_name(&self) -> bool {
        self.reading.host.as_deref().is_some_and(|host| !host.contains(['.', ':']))
    }
}

/// The registries of a URI's readings, in their order. The registry of the settings is never taken for a model.
pub(super) fn addresses(uri: &RegistryUri, settings: &RegistrySettings) -> Result<Vec<Address>, Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::new(Kind::Usage, error.to_string(), "correct the URI");
    let base = settings.registry_base_url.url(settings.registry_scheme).map_err(|error| unusable(&error))?;
    let default = match &uri.namespace {
        Some(namespace) => service(namespace, &base, settings).map_err(|error| unusable(&error))?,
        None => base.clone(),
    };
    let mut addresses = Vec::new();
    for reading in &uri.readings {
        let is_guess = uri.readings.len() > 1 && reading.host.is_some();
        let address =
            |base: Url, is_guess, may_have_token| Address { reading: reading.clone(), base, is_guess, may_have_token };
        match &reading.host {
            None => addresses.push(address(default.clone(), false, true)),
            Some(host) if is_same(host, &base) => return Ok(vec![address(base, false, true)]),
            Some(host) => match url(host, settings.registry_scheme) {
                Ok(url) => {
                    let may_have_token = may_have_token(&url, settings);
                    addresses.push(address(url, is_guess, may_have_token));
                }
                // Then it is a model.
                Err(_) if is_guess => {}
                Err(error) => return Err(unusable(&format!("{host:?} is no host: {error}"))),
            },
        }
    }
    Ok(addresses)
}

fn url(host: &str, scheme: Scheme) -> Result<Url, url::ParseError> {
    format!("{}://{host}/", scheme.as_str()).parse()
}

/// The Service of a namespace, at the port of the base URL.
fn service(namespace: &str, base: &Url, settings: &RegistrySettings) -> Result<Url, url::ParseError> {
    let RegistrySettings { registry_service_name: name, registry_cluster_domain: domain, .. } = settings;
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{name}.{namespace}.{domain}{port}/", base.scheme()).parse()
}

/// Whether `host` is the one of the settings, whose port it need not repeat.
fn is_same(host: &str, base: &Url) -> bool {
    let Ok(url) = format!("{}://{host}/", base.scheme()).parse::<Url>() else { return false };
    let says_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_same_port = !says_port || url.port_or_known_default() == base.port_or_known_default();
    is_same_port && url.host() == base.host()
}

fn may_have_token(url: &Url, settings: &RegistrySettings) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let domain = settings.registry_cluster_domain.trim_matches('.');
    let is_below = |domain: &str| host.strip_suffix(domain).is_some_and(|name| name.ends_with('.') && name.len() > 1);
    let is_named = |pattern: &String| match pattern.strip_prefix("*.") {
        Some(domain) => is_below(&domain.to_ascii_lowercase()),
        None => pattern == "*" || pattern.eq_ignore_ascii_case(host) || pattern.eq_ignore_ascii_case(url.authority()),
    };
    is_below("svc") || is_below(domain) || settings.registry_token_hosts.0.iter().any(is_named)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rstest::rstest;

    use super::*;
    use crate::settings::Settings;
    use crate::uri::SourceUri;

    fn addresses_of(uri: &str, flags: &[&str]) -> Vec<(String, bool, bool)> {
        let args = ["storage-initializer", "unused", "/unused"].iter().chain(flags);
        let settings = Settings::try_parse_from(args).unwrap();
        let Ok(SourceUri::Registry(uri)) = uri.parse() else { panic!("{uri}") };
        let addresses = addresses(&uri, &settings.registry).unwrap();
        addresses.iter().map(|address| (address.base.to_string(), address.is_guess, address.may_have_token)).collect()
    }

    fn only(url: &str, may_have_token: bool) -> Vec<(String, bool, bool)> {
        vec![(url.to_owned(), false, may_have_token)]
    }

    #[rstest]
    #[case("model-registry://iris", &[], "http://localhost:8080/")]
    #[case("model-registry://iris", &["--registry-base-url=registry:8443", "--registry-scheme=https"], "https://registry:8443/")]
    #[case("model-registry://iris", &["--registry-base-url=https://gateway/one"], "https://gateway/one")]
    #[case("model-registry://iris?namespace=team", &[], "http://model-registry-service.team.svc.cluster.local:8080/")]
    #[case(
        "model-registry://iris/v1?namespace=team",
        &["--registry-base-url=r:8443", "--registry-scheme=https", "--registry-service-name=r", "--registry-cluster-domain=svc.example"],
        "https://r.team.svc.example:8443/"
    )]
    #[case("model-registry://r.team.svc:9000/iris/v1", &["--registry-scheme=https"], "https://r.team.svc:9000/")]
    #[case("model-registry://r.team.svc.cluster.local/iris/v1", &[], "http://r.team.svc.cluster.local/")]
    fn registries_of_settings_and_of_the_cluster_may_have_the_token(
        #[case] uri: &str,
        #[case] flags: &[&str],
        #[case] url: &str,
    ) {
        assert_eq!(addresses_of(uri, flags), only(url, true));
    }

    #[rstest]
    #[case(&[], false)]
    #[case(&["--registry-token-hosts=registry.example"], true)]
    #[case(&["--registry-token-hosts=other, registry.example:8443"], true)]
    #[case(&["--registry-token-hosts=*.example"], true)]
    #[case(&["--registry-token-hosts=*"], true)]
    #[case(&["--registry-token-hosts=*.registry.example"], false)]
    #[case(&["--registry-token-hosts=example"], false)]
    fn any_other_registry_must_be_named_for_that(#[case] flags: &[&str], #[case] may_have_token: bool) {
        let addresses = addresses_of("model-registry://registry.example:8443/iris/v1", flags);
        assert_eq!(addresses, only("http://registry.example:8443/", may_have_token));
    }

    #[test]
    fn of_two_segments_the_first_may_be_a_host() {
        let addresses = addresses_of("model-registry://iris/v1", &[]);
        let expected = [("http://iris/".to_owned(), true, false), ("http://localhost:8080/".to_owned(), false, true)];
        assert_eq!(addresses, expected);
    }

    #[rstest]
    #[case("model-registry://Registry/iris")]
    #[case("model-registry://registry:8080/iris")]
    fn the_host_of_the_settings_is_no_model(#[case] uri: &str) {
        assert_eq!(addresses_of(uri, &["--registry-base-url=registry:8080"]), only("http://registry:8080/", true));
    }

    #[test]
    fn the_same_host_with_another_port_is_another_registry() {
        let addresses = addresses_of("model-registry://registry:9090/iris", &["--registry-base-url=registry:8080"]);
        assert_eq!(addresses.len(), 2);
    }
}
