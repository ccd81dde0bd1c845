//! The cluster: the connection, each right, and the kinds.

use rstest::rstest;
use testkit::kube::{ADMIN_TOKEN, KubeApi};
use testkit::registry::ScriptedRegistry;

use super::World;

const TOKEN: &str = "token-of-the-bridge";

/// All that a bridge with these settings needs, a rule a line; some left out.
fn rules(left_out: &str) -> String {
    let rules = [
        (
            "inferenceservices",
            r"{apiGroups: [serving.kserve.io], resources: [inferenceservices], verbs: [list, watch]}",
        ),
        ("services", r#"{apiGroups: [""], resources: [services], verbs: [list, watch]}"#),
        ("serviceaccounts", r#"{apiGroups: [""], resources: [serviceaccounts], verbs: [list, watch]}"#),
        ("configmaps", r#"{apiGroups: [""], resources: [configmaps], verbs: [get, list, create, patch]}"#),
    ];
    let kept: Vec<&str> = rules.iter().filter(|(name, _)| *name != left_out).map(|(_, rule)| *rule).collect();
    format!("rules: [{}]", kept.join(", "))
}

fn bound_everywhere(rules: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: bridge}}\n{rules}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: bridge}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bridge}}\n\
         subjects: [{{kind: ServiceAccount, name: bridge, namespace: rhdh}}]\n"
    )
}

fn bound_in(namespace: &str, rules: &str) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: bridge, namespace: {namespace}}}\n{rules}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: bridge, namespace: {namespace}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: bridge}}\n\
         subjects: [{{kind: ServiceAccount, name: bridge, namespace: rhdh}}]\n"
    )
}

async fn cluster(manifests: &str) -> KubeApi {
    let kube = KubeApi::builder().with_kserve().namespace("rhdh").token(TOKEN, "system:serviceaccount:rhdh:bridge");
    kube.manifests(manifests).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_all_rights_is_fine_and_nothing_in_it_changes() {
    let (registry, kube) = (ScriptedRegistry::start().await, cluster(&bound_everywhere(&rules(""))).await);
    let before = kube.resource_version();
    let found = World::with_cluster(&registry, &kube, TOKEN).check().await;
    assert_eq!(found.code, Some(0), "{}", found.said);
    found.says("Cluster", "API server", "ok", &["v1.34.2", "namespace rhdh"]);
    found.says("Cluster", "kind InferenceService", "ok", &["v1beta1"]);
    found.says("Cluster", "kind Route", "skipped", &[]);
    found.says("Cluster", "watch: list, watch inferenceservices.serving.kserve.io", "ok", &["all namespaces"]);
    found.says("Cluster", "keep entries: get, list, create, patch configmaps", "ok", &["namespace rhdh"]);
    found.says("Storage", "storage", "ok", &["ConfigMaps in namespace rhdh"]);
    found.says("Clocks", "API server", "ok", &[]);
    assert_eq!(kube.resource_version(), before, "something was written");
    assert!(!found.said.contains(TOKEN));
}

#[rstest]
#[case("inferenceservices", "watch: list, watch inferenceservices.serving.kserve.io", "failure", 1)]
#[case("services", "watch: list, watch services", "warning", 0)]
#[case("serviceaccounts", "watch: list, watch serviceaccounts", "warning", 0)]
#[case("configmaps", "keep entries: get, list, create, patch configmaps", "failure", 1)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named(
    #[case] left_out: &str,
    #[case] check: &str,
    #[case] level: &str,
    #[case] code: i32,
) {
    let (registry, kube) = (ScriptedRegistry::start().await, cluster(&bound_everywhere(&rules(left_out))).await);
    let found = World::with_cluster(&registry, &kube, TOKEN).check().await;
    assert_eq!(found.code, Some(code), "{}", found.said);
    found.says("Cluster", check, level, &["is not allowed", "grant", left_out]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_in_the_own_namespace_alone_are_a_warning() {
    let (registry, kube) = (ScriptedRegistry::start().await, cluster(&bound_in("rhdh", &rules(""))).await);
    let world = World::with_cluster(&registry, &kube, TOKEN);
    let found = world.check().await;
    let check = "watch: list, watch inferenceservices.serving.kserve.io";
    found.says("Cluster", check, "warning", &["only in rhdh", "ClusterRole"]);
    assert_eq!(found.code, Some(0), "{}", found.said);
    assert_eq!(world.check_with(&["--strict"]).await.code, Some(1));
    let found = world.with("WATCH_NAMESPACES", "rhdh,team-b").check().await;
    found.says("Cluster", check, "failure", &["nor in rhdh, team-b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_cluster_does_not_know_is_told() {
    let (registry, kube) = (ScriptedRegistry::start().await, cluster("").await);
    let found = World::with_cluster(&registry, &kube, "unknown-token").check().await;
    found.says("Cluster", "API server", "failure", &["401", "renew the token"]);
    assert_eq!(found.code, Some(1));
    assert!(!found.said.contains("unknown-token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_kserve_or_that_is_gone_is_told() {
    let (registry, kube) = (ScriptedRegistry::start().await, KubeApi::builder().namespace("rhdh").start().await);
    let world = World::with_cluster(&registry, &kube, ADMIN_TOKEN);
    world.check().await.says("Cluster", "kind InferenceService", "warning", &["no model is shown as served", "KServe"]);
    kube.stop().await;
    let found = world.check().await;
    found.says("Cluster", "API server", "failure", &["kubectl"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cluster_a_registry_must_be_named() {
    let registry = ScriptedRegistry::start().await;
    let world = World::with_registry(&registry);
    world.check().await.says("Cluster", "API server", "skipped", &["no cluster is configured"]);
    let found = world.with("MR_URL", "").check().await;
    found.says("Cluster", "API server", "failure", &["KUBECONFIG", "MR_URL"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_does_not_answer_ends_at_the_deadline() {
    let (registry, kube) = (ScriptedRegistry::start().await, cluster("").await);
    let world = World::with_cluster(&registry, &kube, ADMIN_TOKEN);
    kube.pause();
    let found = world.check_with(&["--deadline", "3s"]).await;
    found.says("Cluster", "API server", "failure", &["no answer in time"]);
    found.says("Registries", "main", "ok", &[]);
}
