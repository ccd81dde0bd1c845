//! Annotations of namespaces, as far as they are meant for the bridge.

use std::collections::BTreeMap;

use cluster::{Cluster, ClusterSnapshot, ClusterWatch, KindState, NamespaceAnnotations, WatchOptions};
use serde_json::{Value, json};
use testkit::kube::KubeApi;

use crate::support::{CLUSTER_WIDE, USER, lists, quick, two_services, until, watch};

fn options() -> WatchOptions {
    WatchOptions { namespace_annotations: NamespaceAnnotations::Watched, ..quick() }
}

fn annotate(api: &KubeApi, name: &str, annotations: &Value) {
    api.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}}));
}

fn has(expected: Value) -> impl Fn(&ClusterSnapshot) -> bool {
    let expected: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_value(expected).unwrap();
    move |snapshot| snapshot.is_known() && snapshot.namespace_annotations == expected
}

#[tokio::test]
async fn annotations_for_the_bridge_are_followed_and_others_are_ignored() {
    let api = KubeApi::builder().with_kserve().start().await;
    annotate(&api, "a", &json!({"rhdh.io/owner": "team-a", "openshift.io/requester": "somebody"}));
    annotate(&api, "b", &json!({"modelcatalogbridge.rhdh.io/lifecycle": "production"}));
    annotate(&api, "c", &json!({"openshift.io/requester": "somebody"}));
    let watch = ClusterWatch::start(&Cluster::new(api.client(), "bridge"), options());
    let both = json!({"a": {"rhdh.io/owner": "team-a"}, "b": {"modelcatalogbridge.rhdh.io/lifecycle": "production"}});
    let snapshot = until(&watch, "both", has(both)).await;
    assert!(matches!(snapshot.namespaces, Some(KindState::Complete { .. })));

    annotate(&api, "c", &json!({"openshift.io/requester": "somebody else"}));
    annotate(&api, "b", &json!({}));
    let one = until(&watch, "the one that is left", has(json!({"a": {"rhdh.io/owner": "team-a"}}))).await;
    assert_eq!(one.version, snapshot.version + 1, "only one change is of interest");
}

#[tokio::test]
async fn namespaces_are_not_asked_for_unless_wanted() {
    let api = KubeApi::builder().with_kserve().start().await;
    annotate(&api, "a", &json!({"rhdh.io/owner": "team-a"}));
    let watch = watch(&api);
    let snapshot = until(&watch, "the first list", lists(&[])).await;
    assert_eq!((snapshot.namespaces, snapshot.namespace_annotations.len()), (None, 0));
    assert_eq!(api.count(|request| request.path == "/api/v1/namespaces"), 0);
}

#[tokio::test]
async fn namespaces_that_may_not_be_listed_hold_nothing_up() {
    let api = KubeApi::builder().with_kserve().token("limited", USER).start().await;
    api.apply_yaml(CLUSTER_WIDE);
    two_services(&api);
    annotate(&api, "a", &json!({"rhdh.io/owner": "team-a"}));
    let watch = ClusterWatch::start(&Cluster::new(api.client_for("limited"), "bridge"), options());
    let snapshot = until(&watch, "both", lists(&["a/one", "b/two"])).await;
    assert!(matches!(snapshot.namespaces, Some(KindState::Forbidden { .. })));
    assert!(snapshot.namespace_annotations.is_empty());
    api.apply_yaml(&CLUSTER_WIDE.replace("services, serviceaccounts", "services, serviceaccounts, namespaces"));
    until(&watch, "the annotation, once it is permitted", has(json!({"a": {"rhdh.io/owner": "team-a"}}))).await;
}
