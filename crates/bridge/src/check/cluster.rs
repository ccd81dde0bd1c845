//! The cluster: reachable, with which rights and kinds.

use std::time::Duration;

use cluster::probe::{OptionalKind, server_version, version_of};
use cluster::{Cluster, RequestError};

use super::report::Finding;
use super::{rights, within};
use crate::up::UpArgs;

const ACCESS: &str = "give a kubeconfig with --kubeconfig / KUBECONFIG, or run in a pod with a service account";

/// What there is to say of the cluster, and the cluster itself where it answers.
pub(super) async fn examine(settings: &UpArgs, deadline: Duration) -> (Vec<Finding>, Option<Cluster>) {
    let connected = tokio::time::timeout(deadline, cluster::connect(&settings.storage.cluster)).await;
    let cluster = match connected {
        Ok(Ok(Some(cluster))) => cluster,
        Ok(Ok(None)) => return (vec![without(settings)], None),
        Ok(Err(error)) => return (vec![Finding::failure("credentials", error.to_string(), ACCESS)], None),
        Err(_) => {
            let advice = "a kubeconfig's `exec` plugin may wait for someone to log in: run it by hand first";
            return (vec![Finding::failure("credentials", "they could not be had in time", advice)], None);
        }
    };
    let asked = tokio::time::timeout(deadline, server_version(&cluster.client)).await;
    let answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return (vec![unreachable(&cluster, &error)], None),
        Err(_) => {
            let error =
                RequestError::Failed { what: "get /version".to_owned(), reason: "no answer in time".to_owned() };
            return (vec![unreachable(&cluster, &error)], None);
        }
    };
    let mut findings = vec![Finding::ok(
        "API server",
        format!("{} ({}), namespace {}", answer.version, cluster.description, cluster.namespace),
    )];
    let kinds = Kinds::of(&cluster, deadline).await;
    findings.extend(kinds.findings(settings));
    findings.extend(within(deadline, "rights", rights::examine(settings, &cluster, &kinds)).await);
    (findings, Some(cluster))
}

fn without(settings: &UpArgs) -> Finding {
    let message = "no cluster is configured";
    let normalizer = &settings.normalizer;
    let is_needed = normalizer.mr_url.0.is_empty() && normalizer.manifests.0.is_empty();
    if is_needed || !normalizer.mr_route.0.is_empty() {
        let advice = format!("{ACCESS}; or name registries with --mr-url / MR_URL");
        return Finding::failure("API server", format!("{message}, and the settings name no registry by URL"), advice);
    }
    Finding::skipped("API server", format!("{message}: what is served by KServe is not read"))
}

fn unreachable(cluster: &Cluster, error: &RequestError) -> Finding {
    let advice = match error {
        RequestError::Unauthorized { .. } => {
            "renew the token (--k8s-token / K8S_TOKEN, its file, or the kubeconfig's user)".to_owned()
        }
        RequestError::Failed { reason, .. } if reason.contains("certificate") => {
            "the kubeconfig's certificate-authority-data must be the authority of this API server".to_owned()
        }
        _ => format!(
            "see whether the server of {} can be reached from here: kubectl get --raw /version",
            cluster.description
        ),
    };
    Finding::failure("API server", format!("{}: {error}", cluster.description), advice)
}

/// Which kinds the cluster has.
pub(super) struct Kinds {
    pub(super) inference_services: Known,
    pub(super) llm_inference_services: Known,
    pub(super) routes: Known,
}

/// The version of a kind, that there is none, or why nobody knows.
pub(super) type Known = Result<Option<&'static str>, String>;

impl Kinds {
    async fn of(cluster: &Cluster, deadline: Duration) -> Self {
        let ask = |kind| async move {
            match tokio::time::timeout(deadline, version_of(&cluster.client, kind)).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            }
        };
        let (inference_services, llm_inference_services, routes) = tokio::join!(
            ask(OptionalKind::InferenceService),
            ask(OptionalKind::LlmInferenceService),
            ask(OptionalKind::Route)
        );
        Self { inference_services, llm_inference_services, routes }
    }

    fn findings(&self, settings: &UpArgs) -> Vec<Finding> {
        let reads_cluster = !settings.normalizer.no_cluster && settings.normalizer.manifests.0.is_empty();
        let served =
            [("InferenceService", &self.inference_services), ("LLMInferenceService", &self.llm_inference_services)];
        let served = served.into_iter().filter(|_| reads_cluster).map(|(name, known)| {
            kind(name, known, || match name {
                "InferenceService" => Finding::warning(
                    format!("kind {name}"),
                    "the cluster does not have it: no model is shown as served",
                    "install KServe, or set --no-cluster / NO_CLUSTER when there is none to be",
                ),
                _ => Finding::skipped(format!("kind {name}"), "the cluster does not have it"),
            })
        });
        let routes = kind("Route", &self.routes, || {
            if settings.normalizer.mr_route.0.is_empty() {
                Finding::skipped("kind Route", "the cluster does not have it (it is no OpenShift)")
            } else {
                Finding::failure(
                    "kind Route",
                    "the cluster does not have it, and --mr-route / MR_ROUTE names Routes",
                    "name the registries with --mr-url / MR_URL",
                )
            }
        });
        served.chain(std::iter::once(routes)).collect()
    }
}

fn kind(name: &str, known: &Known, missing: impl FnOnce() -> Finding) -> Finding {
    match known {
        Ok(Some(version)) => Finding::ok(format!("kind {name}"), *version),
        Ok(None) => missing(),
        Err(reason) => Finding::failure(
            format!("kind {name}"),
            format!("whether the cluster has it can't be told: {reason}"),
            "every account may read /apis (ClusterRole system:discovery) unless someone took that away",
        ),
    }
}
