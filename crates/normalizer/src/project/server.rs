//! What a service says of the server that runs it: its addresses, whether callers must authenticate, what it speaks.

use cluster::llm::LlmInferenceService;
use cluster::owned::{OwnedService, TargetPort};
use cluster::watch::ObservedInferenceService;
use model_catalog::entities::{OPENAI, SERVER_TYPE_ANNOTATION};
use model_catalog::links::WebUrl;
use model_catalog::names::{NonEmpty, clean_text};
use url::Url;

/// The address and guard of a model server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Reached from outside the cluster.
    pub(super) external: Option<WebUrl>,
    /// Reached from inside the cluster.
    pub(super) internal: Option<WebUrl>,
    /// The address that callers are given.
    pub(super) url: Option<WebUrl>,
    /// Whether callers must authenticate.
    pub(super) authentication: bool,
    /// What it is said to speak.
    pub(super) speaks: Option<NonEmpty>,
    /// Whether it lists its models as OpenAI's API does.
    pub(super) lists_models: bool,
    /// What its models are called by callers, as far as that is known without asking it.
    pub(super) models: Vec<String>,
}

/// Newest first: RHOAI 2.x and later set the annotation, earlier ones the label.
const AUTH_ANNOTATION: &str = "security.opendatahub.io/enable-auth";
const AUTH_LABEL: &str = "security.openshift.io/enable-authentication";

impl Server {
    pub(super) fn of(served: &ObservedInferenceService) -> Self {
        let status_url = served.service.url.as_ref();
        let external = status_url.filter(|url| !is_cluster_local(url));
        // A service may own several, of canaries for instance: its own counts.
        let own = format!("{}-predictor", served.service.name);
        let predictors = served.services.iter().filter(|service| service.name.ends_with("-predictor"));
        let predictor = predictors.min_by_key(|service| (service.name != own, &service.name));
        let internal = predictor.map(|service| service_url(service)).or_else(|| {
            let known = [served.service.address_url.as_ref(), status_url].into_iter().flatten();
            known.into_iter().find(|url| is_cluster_local(url)).map(ToString::to_string)
        });
        let external: Option<WebUrl> = external.and_then(|url| link(url.as_str()));
        let internal: Option<WebUrl> = internal.and_then(|url| link(&url));
        let server_type = served.service.annotations.get(SERVER_TYPE_ANNOTATION);
        let server_type = server_type.and_then(|text| NonEmpty::lossy(text));
        let format = served.service.model.format.as_deref();
        Self {
            url: external.clone().or_else(|| internal.clone()),
            external,
            internal,
            authentication: authentication(served),
            lists_models: server_type.as_ref().is_some_and(|text| text.as_str() == OPENAI)
                || format.is_some_and(|format| format.eq_ignore_ascii_case("vllm")),
            speaks: server_type,
            models: Vec::new(),
        }
    }

    /// Of language models it is known that they are served as OpenAI serves them.
    pub(super) fn of_llm(service: &LlmInferenceService) -> Self {
        let url = service.url();
        Self {
            external: url.filter(|url| !is_cluster_local(url)).and_then(|url| link(url.as_str())),
            internal: service.internal_url().and_then(|url| link(url.as_str())),
            url: url.and_then(|url| link(url.as_str())),
            authentication: service.authentication(),
            speaks: OPENAI.parse().ok(),
            lists_models: true,
            models: service.served_models().iter().map(|model| clean_text(&model.name)).collect(),
        }
    }

    /// The models that callers find there: what it listed counts, those that are known come first.
    pub(super) fn served_models(&self, listed: Option<&[String]>) -> Vec<String> {
        let Some(listed) = listed else { return self.models.clone() };
        let known = self.models.iter().filter(|model| listed.contains(model));
        let others = listed.iter().filter(|model| !self.models.contains(model));
        known.chain(others).cloned().collect()
    }
}

/// An address as it is shown.
fn link(url: &str) -> Option<WebUrl> {
    url.trim_end_matches('/').parse().ok()
}

fn authentication(served: &ObservedInferenceService) -> bool {
    let annotation = served.service.annotations.get(AUTH_ANNOTATION);
    match annotation.or_else(|| served.service.labels.get(AUTH_LABEL)) {
        Some(value) => value.trim().eq_ignore_ascii_case("true"),
        // What earlier versions of RHOAI leave behind when they switch authentication on.
        None => !served.service_accounts.is_empty(),
    }
}

fn is_cluster_local(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    // The cluster's domain may be another than cluster.local, and may be left out.
    host.split('.').skip(2).any(|label| label == "svc") || host.ends_with(".cluster.local")
}

/// The address of a Service inside its cluster. Clients of a headless one reach the pods themselves, so there the
/// pods' port counts.
fn service_url(service: &OwnedService) -> String {
    let first = service.ports.first();
    let target = first.filter(|_| service.headless).and_then(|port| match port.target_port {
        Some(TargetPort::Number(number)) => Some(number),
        _ => None,
    });
    let port = target.or(first.map(|port| port.port));
    let named_https = first.and_then(|port| port.name.as_deref()).is_some_and(|name| name.starts_with("https"));
    let scheme = if named_https || matches!(port, Some(443 | 8443)) { "https" } else { "http" };
    let default = if scheme == "https" { 443 } else { 80 };
    let suffix = port.filter(|port| *port != default).map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}.{}.svc.cluster.local{suffix}", service.name, service.namespace)
}
