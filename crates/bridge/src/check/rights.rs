//! What the services must be allowed to do in the cluster, by the settings they have; the cluster itself is asked.

use cluster::probe::{Permission, is_permitted};
use cluster::{Cluster, RequestError};
use futures::{StreamExt as _, stream};
use storage_rest::StorageType;

use super::cluster::Kinds;
use super::report::{Finding, Level};
use crate::up::UpArgs;

/// How many questions are under way at once.
const AT_ONCE: usize = 8;
const KSERVE: &str = "serving.kserve.io";

/// Verbs on a resource, for something.
struct Need {
    purpose: &'static str,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    place: Place,
    /// How bad it is without.
    level: Level,
    without: &'static str,
}

/// Where they are needed.
enum Place {
    /// In all namespaces; else in each of these.
    EverywhereOr(Vec<String>),
    /// In all namespaces; else in one of these at least.
    EverywhereOrAnyOf(Vec<String>),
    /// Of something that is in no namespace.
    Cluster,
    /// In one.
    In(String),
}

/// Asks for each right that is needed.
pub(super) async fn examine(settings: &UpArgs, cluster: &Cluster, kinds: &Kinds) -> Vec<Finding> {
    stream::iter(needs(settings, cluster, kinds)).map(|need| need.ask(cluster)).buffered(AT_ONCE).collect().await
}

fn needs(settings: &UpArgs, cluster: &Cluster, kinds: &Kinds) -> Vec<Need> {
    let mut needs = Vec::new();
    let normalizer = &settings.normalizer;
    if !normalizer.no_cluster && normalizer.manifests.0.is_empty() {
        needs.extend(watching(settings, cluster, kinds));
    }
    if normalizer.mr_url.0.is_empty() || !normalizer.mr_route.0.is_empty() {
        needs.extend(discovery(settings, cluster, kinds));
    }
    if matches!(settings.storage.storage.storage_type, None | Some(StorageType::ConfigMap)) {
        needs.push(Need {
            purpose: "keep entries",
            group: "",
            resource: "configmaps",
            verbs: &["get", "list", "create", "patch"],
            place: Place::In(cluster.namespace.clone()),
            level: Level::Failure,
            without: "storage-rest can't keep entries in ConfigMaps",
        });
    }
    if settings.storage.access.needs_reviewer() || settings.location.access.needs_reviewer() {
        needs.push(Need {
            purpose: "review tokens",
            group: "authentication.k8s.io",
            resource: "tokenreviews",
            verbs: &["create"],
            place: Place::Cluster,
            level: Level::Failure,
            without: "no service account of BRIDGE_ALLOWED_SERVICE_ACCOUNTS may write (ClusterRole system:auth-delegator)",
        });
    }
    let backstage = &settings.storage.backstage;
    if backstage.push_to_rhdh && backstage.access.bkstg_url.is_none() && matches!(kinds.routes, Ok(Some(_))) {
        let namespace = settings.storage.cluster.pod_namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
        needs.push(Need {
            purpose: "find Backstage",
            group: "route.openshift.io",
            resource: "routes",
            verbs: &["list"],
            place: Place::In(namespace),
            level: Level::Failure,
            without: "Backstage's Route is not found: or give --bkstg-url / BKSTG_URL",
        });
    }
    needs
}

fn watching(settings: &UpArgs, cluster: &Cluster, kinds: &Kinds) -> Vec<Need> {
    const VERBS: &[&str] = &["list", "watch"];
    let namespaces = settings.normalizer.cluster.watched_namespaces().unwrap_or_default();
    let namespaces = if namespaces.is_empty() { vec![cluster.namespace.clone()] } else { namespaces };
    let watch = |group, resource, level, without| Need {
        purpose: "watch",
        group,
        resource,
        verbs: VERBS,
        place: Place::EverywhereOr(namespaces.clone()),
        level,
        without,
    };
    let mut needs = Vec::new();
    if matches!(kinds.inference_services, Ok(Some(_))) {
        let without = "no model is shown as served, and services that no registry knows are not shown";
        needs.push(watch(KSERVE, "inferenceservices", Level::Failure, without));
    }
    if matches!(kinds.llm_inference_services, Ok(Some(_))) {
        needs.push(watch(KSERVE, "llminferenceservices", Level::Failure, "LLMInferenceServices are not shown"));
    }
    if !needs.is_empty() {
        needs.push(watch("", "services", Level::Warning, "internal URLs of servers are not known"));
        let without = "whether an older service asks for authentication is not known";
        needs.push(watch("", "serviceaccounts", Level::Warning, without));
    }
    if settings.normalizer.namespace_annotations {
        needs.push(Need {
            purpose: "watch",
            group: "",
            resource: "namespaces",
            verbs: VERBS,
            place: Place::Cluster,
            level: Level::Warning,
            without: "owners are not taken from annotations of namespaces (NAMESPACE_ANNOTATIONS)",
        });
    }
    needs
}

fn discovery(settings: &UpArgs, cluster: &Cluster, kinds: &Kinds) -> Vec<Need> {
    let mut namespaces: Vec<String> = ["rhoai-model-registries", "odh-model-registries"].map(str::to_owned).to_vec();
    if !namespaces.contains(&cluster.namespace) {
        namespaces.push(cluster.namespace.clone());
    }
    let find = |group, resource, verbs| Need {
        purpose: "find registries",
        group,
        resource,
        verbs,
        place: Place::EverywhereOrAnyOf(namespaces.clone()),
        level: Level::Failure,
        without: "registries are not found: or name them with --mr-url / MR_URL",
    };
    let mut needs = Vec::new();
    if settings.normalizer.mr_route.0.is_empty() {
        needs.push(find("", "services", &["list"]));
    }
    if matches!(kinds.routes, Ok(Some(_))) {
        let verbs: &[&str] = if settings.normalizer.mr_route.0.is_empty() { &["list"] } else { &["get", "list"] };
        needs.push(find("route.openshift.io", "routes", verbs));
    }
    needs
}

impl Need {
    fn permissions(&self) -> impl Iterator<Item = Permission> {
        self.verbs.iter().map(|verb| Permission { verb, group: self.group, resource: self.resource })
    }

    fn name(&self) -> String {
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{}: {} {}{dot}{}", self.purpose, self.verbs.join(", "), self.resource, self.group)
    }

    async fn ask(self, cluster: &Cluster) -> Finding {
        match self.judged(cluster).await {
            Ok(finding) => finding,
            Err(error) => {
                let advice = match error {
                    RequestError::Unauthorized { .. } => "renew the token of the kubeconfig, or K8S_TOKEN",
                    _ => "the cluster did not tell; try again, or: kubectl auth can-i --list",
                };
                Finding::failure(self.name(), error.to_string(), advice)
            }
        }
    }

    async fn judged(&self, cluster: &Cluster) -> Result<Finding, RequestError> {
        let (everywhere, fallback) = match &self.place {
            Place::In(namespace) => {
                let lacking = self.lacking(cluster, Some(namespace)).await?;
                return Ok(if lacking.is_empty() {
                    Finding::ok(self.name(), format!("in namespace {namespace}"))
                } else {
                    self.refused(&lacking, &format!("in namespace {namespace}"))
                });
            }
            Place::Cluster => (self.lacking(cluster, None).await?, &[][..]),
            Place::EverywhereOr(namespaces) | Place::EverywhereOrAnyOf(namespaces) => {
                (self.lacking(cluster, None).await?, &namespaces[..])
            }
        };
        if everywhere.is_empty() {
            return Ok(Finding::ok(self.name(), "in all namespaces"));
        }
        let mut granted = Vec::new();
        for namespace in fallback {
            if self.lacking(cluster, Some(namespace)).await?.is_empty() {
                granted.push(namespace.as_str());
            }
        }
        let enough = match &self.place {
            Place::EverywhereOrAnyOf(_) => !granted.is_empty(),
            _ => !fallback.is_empty() && granted.len() == fallback.len(),
        };
        if enough {
            let message = format!("only in {}: what is elsewhere is not seen", granted.join(", "));
            let advice = format!("grant {} in a ClusterRole, if more is to be seen", self.words(&everywhere));
            return Ok(Finding::warning(self.name(), message, advice));
        }
        let place = match fallback {
            [] => "in all namespaces".to_owned(),
            _ => format!("in all namespaces, nor in {}", fallback.join(", ")),
        };
        Ok(self.refused(&everywhere, &place))
    }

    async fn lacking(&self, cluster: &Cluster, namespace: Option<&str>) -> Result<Vec<Permission>, RequestError> {
        let mut lacking = Vec::new();
        for permission in self.permissions() {
            if !is_permitted(&cluster.client, permission, namespace).await? {
                lacking.push(permission);
            }
        }
        Ok(lacking)
    }

    fn words(&self, permissions: &[Permission]) -> String {
        let verbs: Vec<&str> = permissions.iter().map(|permission| permission.verb).collect();
        let dot = if self.group.is_empty() { "" } else { "." };
        format!("{} on {}{dot}{}", verbs.join(", "), self.resource, self.group)
    }

    fn refused(&self, lacking: &[Permission], place: &str) -> Finding {
        let words = self.words(lacking);
        let message = format!("{words} is not allowed {place}: {}", self.without);
        let advice =
            format!("grant {words} to the service account of the bridge (docs/security.md, Rights in the cluster)");
        Finding { level: self.level, ..Finding::failure(self.name(), message, advice) }
    }
}
