//! What the tests of the watch share.

use std::time::Duration;

use cluster::{Cluster, ClusterSnapshot, ClusterWatch, KindState, WatchOptions};
use testkit::kube::{KubeApi, samples::InferenceService};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
pub(crate) const KIND: &str = "InferenceService";
pub(crate) const CRD: &str = "inferenceservices.serving.kserve.io";
pub(crate) const USER: &str = "system:serviceaccount:bridge:bridge";

pub(crate) fn quick() -> WatchOptions {
    WatchOptions {
        discovery_interval: Duration::from_millis(50),
        list_timeout: Duration::from_secs(5),
        settle: Duration::from_millis(50),
        min_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(100),
        ..WatchOptions::default()
    }
}

pub(crate) fn watch(api: &KubeApi) -> ClusterWatch {
    ClusterWatch::start(&Cluster::new(api.client(), "bridge"), quick())
}

/// Waits for a snapshot by the change counter, as the normalizer does.
pub(crate) async fn until(
    watch: &ClusterWatch,
    what: &str,
    wanted: impl Fn(&ClusterSnapshot) -> bool,
) -> ClusterSnapshot {
    let mut changes = watch.changes();
    let wait = async {
        loop {
            changes.borrow_and_update();
            let snapshot = watch.snapshot();
            if wanted(&snapshot) {
                return snapshot;
            }
            changes.changed().await.unwrap();
        }
    };
    let found = tokio::time::timeout(DEADLINE, wait).await;
    found.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}; seen {:#?}", watch.snapshot()))
}

pub(crate) fn names(snapshot: &ClusterSnapshot) -> Vec<String> {
    let name = |seen: &cluster::ObservedInferenceService| format!("{}/{}", seen.service.namespace, seen.service.name);
    snapshot.services.iter().map(name).collect()
}

pub(crate) fn lists(name: &[&str]) -> impl Fn(&ClusterSnapshot) -> bool {
    let wanted = name.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    move |snapshot| snapshot.is_known() && names(snapshot) == wanted
}

pub(crate) fn is_complete(snapshot: &ClusterSnapshot) -> bool {
    matches!(snapshot.inference_services, KindState::Complete { .. })
}

pub(crate) fn is_stale(snapshot: &ClusterSnapshot) -> bool {
    matches!(snapshot.inference_services, KindState::Stale { .. })
}

/// A list is followed by a watch, which opens a moment later. Of the kinds that every test has there are three.
pub(crate) async fn all_watches_open(api: &KubeApi) {
    watches_open(api, 3).await;
}

pub(crate) async fn watches_open(api: &KubeApi, count: usize) {
    testkit::eventually(DEADLINE, "the watches to be open", || async { api.open_watches() == count }).await;
}

pub(crate) fn two_services(api: &KubeApi) {
    api.apply(InferenceService::new("b", "two").build());
    api.apply(InferenceService::new("a", "one").build());
}

pub(crate) const CLUSTER_WIDE: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bridge}
rules:
- {apiGroups: [serving.kserve.io], resources: [inferenceservices], verbs: [get, list, watch]}
- {apiGroups: ['', ''], resources: [services, serviceaccounts], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bridge}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bridge}
subjects: [{kind: ServiceAccount, name: bridge, namespace: bridge}]
";

pub(crate) fn role(namespace: &str, resources: &str) -> String {
    format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: bridge, namespace: {namespace}}}
rules: [{{apiGroups: ['', serving.kserve.io], resources: [{resources}], verbs: [get, list, watch]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: bridge, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: bridge}}
subjects: [{{kind: ServiceAccount, name: bridge, namespace: bridge}}]
"
    )
}
