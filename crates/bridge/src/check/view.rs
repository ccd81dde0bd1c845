//! Location as Backstage sees it: from elsewhere, under another URL, and without the bridge's token.

use std::net::IpAddr;

use bridge_api::{LocationClient, UriList};
use http::StatusCode;
use service::http_client;
use url::{Host, Url};

use super::Bench;
use super::report::Finding;
use super::tls::{self, Verification};

const CHECK: &str = "location as Backstage sees it";
const ADDRESS: &str = "BRIDGE_URL";
const SETTING: &str = "--bridge-url / BRIDGE_URL";

/// Where a URL leads by its host alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// To the machine, or the pod, that asks.
    Loopback,
    /// Nowhere.
    Unspecified,
    /// Into the cluster.
    Cluster,
    /// Wherever the name leads.
    Anywhere,
}

fn reach(url: &Url) -> Reach {
    let of = |address: IpAddr| match address {
        address if address.is_loopback() => Reach::Loopback,
        address if address.is_unspecified() => Reach::Unspecified,
        _ => Reach::Anywhere,
    };
    match url.host() {
        Some(Host::Ipv4(address)) => of(address.into()),
        Some(Host::Ipv6(address)) => of(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_lowercase();
            match name.split('.').collect::<Vec<_>>().as_slice() {
                [.., "localhost"] => Reach::Loopback,
                [_, .., "svc"] | [_, .., "svc", "cluster", "local"] => Reach::Cluster,
                _ => Reach::Anywhere,
            }
        }
        None => Reach::Unspecified,
    }
}

/// What there is to say of the URL under which Backstage reads, and what location lists there. `backstage`: where
/// Backstage is, as far as that is known.
pub(super) async fn examine(bench: &Bench<'_>, backstage: Option<&Url>) -> (Vec<Finding>, Option<UriList>) {
    let storage = &bench.settings.storage;
    let url = match storage.bridge_url() {
        Ok(url) => url,
        Err(error) => return (vec![Finding::failure(CHECK, error.to_string(), format!("set {SETTING}"))], None),
    };
    let mut findings = Vec::new();
    let beside = storage.pod_ip.is_some();
    match (reach(&url), backstage.map(reach)) {
        (Reach::Unspecified, _) => {
            let advice = format!("set {SETTING} to an address that Backstage reaches");
            return (vec![Finding::failure(ADDRESS, format!("{url} is the address of no machine"), advice)], None);
        }
        (Reach::Loopback, Some(Reach::Loopback)) => {}
        (Reach::Loopback, Some(_)) => {
            let message = format!("at {url} Backstage would look for the bridge on its own machine");
            let advice = format!("set {SETTING} to an address of location that Backstage reaches");
            findings.push(Finding::failure(ADDRESS, message, advice));
        }
        (Reach::Loopback, None) if !beside => {
            let message = format!("{url} is right only for a Backstage on this machine or in this pod");
            let advice = format!("set {SETTING} to an address of location that Backstage reaches");
            findings.push(Finding::warning(ADDRESS, message, advice));
        }
        _ => {}
    }
    let (asked, list) = ask(bench, &url).await;
    findings.extend(asked);
    findings.extend(public(bench));
    (findings, list)
}

async fn ask(bench: &Bench<'_>, url: &Url) -> (Vec<Finding>, Option<UriList>) {
    let storage = &bench.settings.storage;
    let verification = if storage.location_insecure_skip_tls_verify { Verification::Off } else { Verification::On };
    let http = match http_client::client(&storage.location_tls(), "location") {
        Ok(http) => http,
        Err(error) => {
            let advice = "mend --location-ca / LOCATION_CA";
            return (vec![Finding::failure(CHECK, error.to_string(), advice)], None);
        }
    };
    // As Backstage asks: without the bridge's token.
    let answer = tokio::time::timeout(bench.deadline, LocationClient::new(url.clone(), http).list()).await;
    let error = match answer {
        Ok(Ok(list)) => {
            let message = format!("{url} answers and lists {} entries", list.uris.len());
            let certificate = tls::examine(CHECK, url, verification, "--location-ca / LOCATION_CA", None).await;
            return (std::iter::once(Finding::ok(CHECK, message)).chain(certificate).collect(), Some(list));
        }
        Ok(Err(error)) => error,
        Err(_) => {
            let message = format!("{url} does not answer in time");
            return (
                vec![Finding::failure(CHECK, message, "see whether a firewall or NetworkPolicy drops connections")],
                None,
            );
        }
    };
    let said = error.to_string();
    if tls::is_about_tls(&said)
        && let Some(finding) = tls::examine(CHECK, url, verification, "--location-ca / LOCATION_CA", Some(&said)).await
    {
        return (vec![finding], None);
    }
    (vec![unanswered(bench, url, &said, error.status())], None)
}

fn unanswered(bench: &Bench<'_>, url: &Url, said: &str, status: Option<StatusCode>) -> Finding {
    match status {
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Finding::warning(
            CHECK,
            format!("{url} asks readers for a token, which most Backstages do not send: {said}"),
            "unset --require-read-token / REQUIRE_READ_TOKEN, unless Backstage's provider was given the token \
             (docs/security.md)",
        ),
        Some(StatusCode::SERVICE_UNAVAILABLE) => Finding::warning(
            CHECK,
            format!("{url} is not ready: {said}"),
            "it answers once storage was loaded: see Running services, and GET /readyz",
        ),
        Some(StatusCode::NOT_FOUND) => Finding::failure(
            CHECK,
            format!("something else answers at {url}: {said}"),
            format!("set {SETTING} to the URL of location, with the path that a proxy in front of it needs"),
        ),
        _ if status.is_none() && bench.settings.storage.backstage.bridge_url.is_none() => {
            Finding::skipped(CHECK, format!("nothing is at {url}, and {SETTING} is not set: start location first"))
        }
        _ if reach(url) == Reach::Cluster && bench.cluster.is_none_or(|cluster| !cluster.in_cluster) => {
            Finding::warning(
                CHECK,
                format!("{url} is an address of the cluster's own, which this command is not in: {said}"),
                "run this command in a pod of the cluster, such as the bridge's own",
            )
        }
        _ => Finding::failure(
            CHECK,
            format!("{url} can't be read: {said}"),
            format!("see whether location runs and this address leads to it; set {SETTING} to one that does"),
        ),
    }
}

/// Model cards are links that people follow.
fn public(bench: &Bench<'_>) -> Option<Finding> {
    let check = "links to model cards";
    let url = bench.settings.normalizer.location_base().ok()?;
    let setting = "--bridge-public-url / BRIDGE_PUBLIC_URL (or BRIDGE_URL)";
    Some(match reach(&url) {
        Reach::Loopback | Reach::Unspecified => Finding::warning(
            check,
            format!("they lead to {url}, which is another machine for each reader"),
            format!("set {setting} to the URL of location as readers reach it"),
        ),
        Reach::Cluster | Reach::Anywhere => Finding::ok(check, format!("they lead to {url}")),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://localhost:9090", Reach::Loopback)]
    #[case("http://bridge.localhost", Reach::Loopback)]
    #[case("http://127.0.0.2:9090", Reach::Loopback)]
    #[case("http://[::1]:9090", Reach::Loopback)]
    #[case("http://0.0.0.0:9090", Reach::Unspecified)]
    #[case("http://location.rhdh.svc:9090", Reach::Cluster)]
    #[case("http://location.rhdh.svc.cluster.local.:9090", Reach::Cluster)]
    #[case("https://bridge.example.com", Reach::Anywhere)]
    fn a_host_tells_where_a_url_leads(#[case] url: &str, #[case] expected: Reach) {
        assert_eq!(reach(&Url::parse(url).unwrap()), expected);
    }
}
