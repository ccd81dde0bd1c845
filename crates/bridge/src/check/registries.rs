//! Registries and catalogs: found by which rule, reachable, and with a token that they accept.

use service::Metrics;
use service::calls::CallMetrics;
use std::sync::Arc;

use cluster::discovery::{Discovery, Endpoint, EndpointKind, FoundBy};
use cluster::{discover_registries, resolve_routes};
use futures::StreamExt as _;
use futures::future::join_all;
use normalizer::settings::foreign::TokenNamespaces;
use normalizer::sources::{Access, Line, Token};
use registry_client::{CatalogClient, Failure, ListQuery, RegistryClient, RegistryError};
use url::Url;

use super::report::{Finding, Level};
use super::tls::{self, Verification};
use super::{Bench, within};

const CA: &str = "--registry-ca / REGISTRY_CA";

/// Something to ask, and how it came to be known.
struct Peer {
    name: String,
    kind: EndpointKind,
    url: Url,
    line: Line,
    found: String,
}

/// What there is to say of all registries and catalogs.
pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    let token = bench.cluster.map_or(Token::None, |cluster| Token::OfCluster(Arc::new(cluster.clone())));
    let access = match normalizer::access(&bench.settings.normalizer, token, &CallMetrics::new(&Metrics::new("check")))
    {
        Ok(access) => access,
        Err(error) => {
            let advice = "mend this setting of the normalizer (docs/configuration.md)";
            return vec![Finding::failure("settings", format!("{error:#}"), advice)];
        }
    };
    let (mut findings, peers) = peers(bench, &access).await;
    if !peers.iter().any(|peer| peer.kind == EndpointKind::Registry) && findings.is_empty() {
        findings.push(none(bench));
    }
    let asked = peers.iter().map(|peer| within(bench.deadline, &peer.name, peer.examine(bench)));
    findings.extend(join_all(asked).await.into_iter().flatten());
    findings
}

fn none(bench: &Bench<'_>) -> Finding {
    let advice =
        "label its Service component=model-registry, or name it with --mr-url / MR_URL or --mr-route / MR_ROUTE";
    if bench.settings.normalizer.manifests.0.is_empty() {
        Finding::warning("registries", "there is none: only what is served by KServe is shown", advice)
    } else {
        Finding::skipped("registries", "none is named, and --manifests takes the place of a cluster")
    }
}

/// Those that the settings name, and those that are found.
async fn peers(bench: &Bench<'_>, access: &Access) -> (Vec<Finding>, Vec<Peer>) {
    let settings = &bench.settings.normalizer;
    let named = |name: &str, url: &Url, kind, setting: &str| Peer {
        name: name.to_owned(),
        kind,
        url: url.clone(),
        line: access.to_named(),
        found: format!("named by {setting}"),
    };
    let mut peers: Vec<Peer> = Vec::new();
    for registry in &settings.mr_url.0 {
        peers.push(named(&registry.name, &registry.url, EndpointKind::Registry, "MR_URL"));
    }
    for catalog in &settings.catalog_url.0 {
        peers.push(named(&catalog.name, &catalog.url, EndpointKind::Catalog, "CATALOG_URL"));
    }
    let routes = &settings.mr_route.0;
    let (Some(cluster), true) = (bench.cluster, settings.mr_url.0.is_empty() || !routes.is_empty()) else {
        return (Vec::new(), peers);
    };
    let namespaces =
        if routes.is_empty() { access.foreign.token_namespaces(&cluster.namespace) } else { TokenNamespaces::all() };
    let searched = async {
        if routes.is_empty() { discover_registries(cluster).await } else { resolve_routes(cluster, routes).await }
    };
    let mut findings = Vec::new();
    match tokio::time::timeout(bench.deadline, searched).await {
        Ok(Ok(mut discovery)) => {
            access.refuse(&mut discovery);
            findings.extend(problems(&discovery));
            for endpoint in discovery.endpoints() {
                let line = access.to_found(endpoint, &namespaces);
                let name = format!("{}/{}", endpoint.namespace, endpoint.name);
                let found = found(endpoint, routes.is_empty());
                peers.push(Peer { name, kind: endpoint.kind, url: endpoint.url.clone(), line, found });
            }
        }
        Ok(Err(error)) => {
            let advice = "grant what is missing (see Cluster), or name registries with --mr-url / MR_URL";
            findings.push(Finding::failure("discovery", error.to_string(), advice));
        }
        Err(_) => {
            let advice = "the API server is slow: give more time with --deadline";
            findings.push(Finding::failure("discovery", "it did not come to its end in time", advice));
        }
    }
    (findings, peers)
}

fn problems(discovery: &Discovery) -> impl Iterator<Item = Finding> {
    discovery.problems.iter().map(|problem| {
        let advice =
            "nothing is removed while this lasts; name the registry with --mr-url / MR_URL where it can't be mended";
        Finding::failure(problem.subject.to_string(), problem.message.clone(), advice)
    })
}

fn found(endpoint: &Endpoint, by_discovery: bool) -> String {
    match (endpoint.found_by, by_discovery) {
        (FoundBy::Service, _) => "found by its Service's label `component`".to_owned(),
        (FoundBy::Route, true) => "found by its Route's label `app.kubernetes.io/managed-by`".to_owned(),
        (FoundBy::Route, false) => "the Route that MR_ROUTE names".to_owned(),
    }
}

impl Peer {
    async fn examine(&self, bench: &Bench<'_>) -> Vec<Finding> {
        let asked = match self.kind {
            EndpointKind::Registry => self.ask_registry().await,
            EndpointKind::Catalog => self.ask_catalog().await,
        };
        let refusal = match &asked {
            Err(RegistryError { failure: Failure::Tls(reason), .. }) => Some(reason.clone()),
            _ => None,
        };
        let verification = if bench.settings.normalizer.registry_insecure_skip_tls_verify {
            Verification::Off
        } else {
            Verification::On
        };
        let certificate = tls::examine(&self.name, &self.url, verification, CA, refusal.as_deref()).await;
        let mut findings = match asked {
            Ok(said) => vec![Finding::ok(
                &self.name,
                format!("{} at {} answers ({}): {said}", self.what(), self.url, self.found),
            )],
            // The certificate says more.
            Err(_) if refusal.is_some() && certificate.is_some() => Vec::new(),
            Err(error) => vec![self.failed(&error)],
        };
        findings.extend(certificate);
        findings
    }

    fn what(&self) -> &'static str {
        match self.kind {
            EndpointKind::Registry => "model registry",
            EndpointKind::Catalog => "model catalog",
        }
    }

    async fn ask_registry(&self) -> Result<String, RegistryError> {
        let client = RegistryClient::new(self.url.clone(), self.line.http.clone(), None);
        let client = client.with_token_source(self.line.token.clone());
        let mut pages = client.registered_models(ListQuery::default().with_page_size(1));
        Ok(match pages.next().await.transpose()? {
            Some(page) if !page.records.is_empty() => "its models can be read".to_owned(),
            _ => "it holds no model yet".to_owned(),
        })
    }

    async fn ask_catalog(&self) -> Result<String, RegistryError> {
        let client = CatalogClient::new(self.url.clone(), self.line.http.clone(), None);
        let mut pages = client.with_token_source(self.line.token.clone()).sources();
        let page = pages.next().await.transpose()?;
        Ok(format!("{} sources", page.map_or(0, |page| page.records.len())))
    }

    /// Without a catalog only model cards are missing.
    fn failed(&self, error: &RegistryError) -> Finding {
        let level = match self.kind {
            EndpointKind::Registry => Level::Failure,
            EndpointKind::Catalog => Level::Warning,
        };
        let advice = match (error.status(), self.line.sends_token) {
            (Some(401 | 403), false) => {
                "it is sent no token: anyone may have written its address. If it is to have it, name its namespace with \
                 --registry-token-namespaces / REGISTRY_TOKEN_NAMESPACES"
            }
            (Some(401), true) => "give a token that it accepts with --kfmr-token / KFMR_TOKEN or --kfmr-token-file",
            (Some(403), true) => {
                "let the token's account read it: bind it to the Role registry-user-<registry>, or its like, in the \
                 registry's namespace"
            }
            (Some(404), _) => "this is not the API: check host and path of the address",
            _ => "see whether it runs, and whether this address is reached from here: curl it",
        };
        Finding { level, ..Finding::failure(&self.name, format!("{error} ({})", self.found), advice) }
    }
}
