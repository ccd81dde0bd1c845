//! InferenceServices and what they own: every change is followed, and no failure looks like absence.

use std::time::Duration;

use cluster::{Cluster, ClusterSnapshot, ClusterWatch, KindState, Scope, WatchOptions};
use rstest::rstest;
use serde_json::json;
use testkit::kube::{
    Definition, Fault, KubeApi, RecordedRequest,
    samples::{self, InferenceService},
};

use crate::support::{
    CLUSTER_WIDE, CRD, KIND, USER, all_watches_open, is_complete, is_stale, lists, names, quick, role, two_services,
    until, watch, watches_open,
};

#[tokio::test]
async fn creation_change_and_deletion_are_seen() {
    let api = KubeApi::builder().with_kserve().start().await;
    let watch = watch(&api);
    until(&watch, "the first, empty list", lists(&[])).await;
    two_services(&api);
    let snapshot = until(&watch, "both", lists(&["a/one", "b/two"])).await;
    assert!(snapshot.services[0].service.ready());
    api.apply(InferenceService::new("a", "one").stopped().build());
    let stopped = |snapshot: &ClusterSnapshot| snapshot.services.iter().any(|seen| seen.service.stopped());
    until(&watch, "the stop", stopped).await;
    api.delete(KIND, "a", "one");
    let snapshot = until(&watch, "the deletion", lists(&["b/two"])).await;
    assert!(snapshot.proves_absent("a", "one"));
    assert!(!snapshot.proves_absent("b", "two"));
}

#[tokio::test]
async fn an_annotation_alone_is_a_change() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    let before = until(&watch, "both", lists(&["a/one", "b/two"])).await.version;
    api.edit(KIND, "a", "one", |object| object["metadata"]["annotations"] = json!({"rhdh.io/owner": "team"}));
    let seen = |snapshot: &ClusterSnapshot| snapshot.services[0].service.annotations.contains_key("rhdh.io/owner");
    assert!(until(&watch, "the annotation", seen).await.version > before);
}

#[tokio::test]
async fn owned_objects_are_found_with_their_owner_and_others_are_ignored() {
    let api = KubeApi::builder().with_kserve().start().await;
    let owner = api.apply(InferenceService::new("a", "one").build());
    let mut stranger = samples::predictor_service(&owner, 8080);
    stranger["metadata"]["name"] = json!("of-an-earlier-one");
    stranger["metadata"]["ownerReferences"][0]["uid"] = json!("another");
    api.apply(stranger);
    let watch = watch(&api);
    until(&watch, "the service", lists(&["a/one"])).await;
    api.apply(samples::predictor_service(&owner, 8080));
    api.apply(samples::owned_service_account(&owner, "one-sa"));
    let both = |snapshot: &ClusterSnapshot| {
        let seen = &snapshot.services[0];
        !seen.services.is_empty() && !seen.service_accounts.is_empty()
    };
    let snapshot = until(&watch, "what it owns", both).await;
    let seen = &snapshot.services[0];
    assert_eq!(seen.services.iter().map(|owned| owned.name.as_str()).collect::<Vec<_>>(), ["one-predictor"]);
    assert_eq!((seen.services[0].ports[0].port, seen.services[0].headless), (8080, false));
    assert_eq!(seen.service_accounts[0].name, "one-sa");

    api.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": "unrelated"},
        "spec": {"ports": [{"port": 80}]}}));
    api.edit("Service", "a", "one-predictor", |object| object["metadata"]["labels"] = json!({"x": "y"}));
    api.delete("Service", "a", "one-predictor");
    let gone = until(&watch, "the Service's deletion", |snapshot| snapshot.services[0].services.is_empty()).await;
    assert_eq!(gone.version, snapshot.version + 1, "only the deletion is of interest");
}

#[tokio::test]
async fn every_kind_is_watched_and_nothing_is_written() {
    let api = KubeApi::builder().with_kserve().start().await;
    let watch = watch(&api);
    until(&watch, "the first list", lists(&[])).await;
    let snapshot = watch.snapshot();
    assert!(matches!(snapshot.service_accounts, KindState::Complete { .. }));
    assert_eq!(api.count(RecordedRequest::is_write), 0);
}

#[tokio::test]
async fn a_missing_kserve_is_normal_and_picked_up_when_it_appears() {
    let api = KubeApi::builder().start().await;
    let watch = watch(&api);
    let snapshot = until(&watch, "absence", ClusterSnapshot::is_known).await;
    assert_eq!(snapshot.inference_services, KindState::Absent);
    assert!(snapshot.proves_absent("a", "one"));
    api.install_crd(&Definition::inference_services());
    two_services(&api);
    until(&watch, "the services", lists(&["a/one", "b/two"])).await;
}

#[tokio::test]
async fn a_removed_kserve_empties_the_cache_and_may_come_back() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    api.remove_crd(CRD);
    let absent = |snapshot: &ClusterSnapshot| snapshot.inference_services == KindState::Absent;
    assert!(until(&watch, "absence", absent).await.services.is_empty());
    api.install_crd(&Definition::inference_services());
    api.apply(InferenceService::new("a", "three").build());
    until(&watch, "the new one", lists(&["a/three"])).await;
}

#[rstest]
#[case::error(Fault::Status(500))]
#[case::not_found(Fault::Status(404))]
#[case::forbidden(Fault::Status(403))]
#[case::unauthorized(Fault::Status(401))]
#[case::reset(Fault::Reset)]
#[case::garbage(Fault::Garbage)]
#[case::truncated(Fault::Truncated)]
#[tokio::test]
async fn a_failing_list_keeps_what_is_known(#[case] fault: Fault) {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    all_watches_open(&api).await;
    let guard = api.fail_while(|request| request.is_on("inferenceservices"), fault);
    api.expire_watches();
    let stale = until(&watch, "staleness", is_stale).await;
    assert_eq!(names(&stale), ["a/one", "b/two"]);
    assert!(!stale.proves_absent("a", "none"));
    api.delete(KIND, "a", "one");
    drop(guard);
    until(&watch, "recovery", |snapshot| is_complete(snapshot) && lists(&["b/two"])(snapshot)).await;
}

#[rstest]
#[case::refused(Fault::Status(403))]
#[case::error(Fault::Status(500))]
#[case::expired(Fault::Status(410))]
#[case::reset(Fault::Reset)]
#[tokio::test]
async fn where_only_lists_work_changes_are_seen_by_listing(#[case] fault: Fault) {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let _guard = api.fail_while(|request| request.is_on("inferenceservices") && request.is_watch(), fault);
    let watch = watch(&api);
    until(&watch, "staleness", is_stale).await;
    api.apply(InferenceService::new("c", "three").build());
    until(&watch, "the change", lists(&["a/one", "b/two", "c/three"])).await;
}

#[rstest]
#[case::error(Fault::Status(500))]
#[case::garbage(Fault::Garbage)]
#[case::reset(Fault::Reset)]
#[tokio::test]
async fn a_failing_discovery_is_no_absence(#[case] fault: Fault) {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    all_watches_open(&api).await;
    let _discovery = api.fail_while(|request| request.path == "/apis", fault);
    let _list = api.fail_while(|request| request.is_on("inferenceservices"), Fault::Status(404));
    api.expire_watches();
    let stale = until(&watch, "staleness", is_stale).await;
    assert_eq!(names(&stale), ["a/one", "b/two"]);
}

#[tokio::test]
async fn a_failure_from_the_start_is_not_an_empty_cluster() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let guard = api.fail_while(|request| request.is_on("inferenceservices"), Fault::Status(500));
    let watch = watch(&api);
    let failing =
        |snapshot: &ClusterSnapshot| matches!(&snapshot.inference_services, KindState::NotYet { reason: Some(_) });
    let snapshot = until(&watch, "the failure", failing).await;
    assert!(!snapshot.is_known() && !snapshot.proves_absent("a", "one"));
    drop(guard);
    until(&watch, "recovery", lists(&["a/one", "b/two"])).await;
}

#[tokio::test]
async fn an_unknown_token_is_named_and_works_once_it_is_known() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let cluster = Cluster::new(api.client_for("later"), "bridge");
    let watch = ClusterWatch::start(&cluster, quick());
    let unauthorized = |snapshot: &ClusterSnapshot| match &snapshot.inference_services {
        KindState::NotYet { reason: Some(reason) } => reason.contains("401"),
        _ => false,
    };
    until(&watch, "401", unauthorized).await;
    api.add_token("later", USER);
    api.apply_yaml(CLUSTER_WIDE);
    until(&watch, "recovery", lists(&["a/one", "b/two"])).await;
}

#[tokio::test]
async fn dropped_and_expired_watches_lose_no_change() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    all_watches_open(&api).await;
    api.drop_watches();
    api.apply(InferenceService::new("c", "three").build());
    until(&watch, "a change while dropped", lists(&["a/one", "b/two", "c/three"])).await;
    api.expire_watches();
    api.delete(KIND, "a", "one");
    until(&watch, "a change while expired", lists(&["b/two", "c/three"])).await;
}

#[tokio::test]
async fn a_history_that_is_gone_leads_to_a_new_list() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    all_watches_open(&api).await;
    api.stop().await;
    api.delete(KIND, "a", "one");
    api.apply(InferenceService::new("c", "three").build());
    api.compact();
    api.restart().await;
    until(&watch, "the truth", |snapshot| is_complete(snapshot) && lists(&["b/two", "c/three"])(snapshot)).await;
}

#[tokio::test]
async fn a_stopped_server_makes_everything_stale_and_nothing_gone() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    all_watches_open(&api).await;
    api.stop().await;
    let stale = until(&watch, "staleness", is_stale).await;
    assert_eq!(names(&stale), ["a/one", "b/two"]);
    assert!(stale.is_known(), "stale knowledge is still knowledge");
    api.restart().await;
    until(&watch, "recovery", is_complete).await;
}

#[tokio::test]
async fn a_list_that_is_never_answered_is_given_up() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    // The probe is answered, the list behind it is not.
    api.fail_next(|request| request.is_on("inferenceservices") && request.query.contains("limit=500"), Fault::Hang);
    let options = WatchOptions { list_timeout: Duration::from_millis(100), ..quick() };
    let watch = ClusterWatch::start(&Cluster::new(api.client(), "bridge"), options);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
}

const ALL_KINDS: &str = "inferenceservices, services, serviceaccounts";

#[tokio::test]
async fn without_cluster_wide_access_the_given_namespaces_are_watched() {
    let api = KubeApi::builder().with_kserve().token("limited", USER).start().await;
    api.apply_yaml(&role("a", ALL_KINDS));
    api.apply_yaml(&role("c", ALL_KINDS));
    two_services(&api);
    let options = WatchOptions { namespaces: vec!["a".to_owned(), "c".to_owned()], ..quick() };
    let watch = ClusterWatch::start(&Cluster::new(api.client_for("limited"), "bridge"), options);
    let snapshot = until(&watch, "the permitted one", lists(&["a/one"])).await;
    assert_eq!(snapshot.scope, Scope::Namespaces(vec!["a".to_owned(), "c".to_owned()]));
    assert!(snapshot.proves_absent("a", "none") && !snapshot.proves_absent("b", "two"));
    api.apply(InferenceService::new("c", "three").build());
    until(&watch, "one in the other namespace", lists(&["a/one", "c/three"])).await;
}

#[tokio::test]
async fn without_any_choice_the_own_namespace_is_watched() {
    let api = KubeApi::builder().with_kserve().token("limited", USER).start().await;
    api.apply_yaml(&role("bridge", ALL_KINDS));
    two_services(&api);
    api.apply(InferenceService::new("bridge", "own").build());
    let watch = ClusterWatch::start(&Cluster::new(api.client_for("limited"), "bridge"), quick());
    until(&watch, "the own one", lists(&["bridge/own"])).await;
}

#[tokio::test]
async fn services_that_may_not_be_listed_do_not_hold_up_inference_services() {
    let api = KubeApi::builder().with_kserve().token("limited", USER).start().await;
    api.apply_yaml(&CLUSTER_WIDE.replace("services, serviceaccounts", "pods"));
    two_services(&api);
    let watch = ClusterWatch::start(&Cluster::new(api.client_for("limited"), "bridge"), quick());
    let snapshot = until(&watch, "both", lists(&["a/one", "b/two"])).await;
    assert_eq!(snapshot.scope, Scope::AllNamespaces);
    for state in [&snapshot.owned_services, &snapshot.service_accounts] {
        let KindState::Forbidden { reason } = state else { panic!("{state:?}") };
        assert!(reason.contains("list service") && reason.contains("403"), "{reason}");
    }
}

#[tokio::test]
async fn a_permission_that_is_taken_away_makes_stale_and_does_not_narrow_the_view() {
    let api = KubeApi::builder().with_kserve().token("limited", USER).start().await;
    api.apply_yaml(CLUSTER_WIDE);
    two_services(&api);
    let watch = ClusterWatch::start(&Cluster::new(api.client_for("limited"), "bridge"), quick());
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    all_watches_open(&api).await;
    api.delete("ClusterRoleBinding", "", "bridge");
    api.apply_yaml(&role("bridge", ALL_KINDS));
    api.expire_watches();
    let snapshot = until(&watch, "staleness", is_stale).await;
    assert_eq!((names(&snapshot).len(), snapshot.scope), (2, Scope::AllNamespaces));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_reported_and_hides_no_other() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let mut odd = InferenceService::new("a", "odd").build();
    odd["status"] = json!({"url": 5});
    api.apply(odd);
    let watch = watch(&api);
    let snapshot = until(&watch, "the readable ones", lists(&["a/one", "b/two"])).await;
    assert_eq!(snapshot.unreadable.len(), 1);
    assert_eq!(snapshot.unreadable[0].name, "odd");
    assert!(!snapshot.proves_absent("a", "odd"));
}

#[tokio::test]
async fn an_unchanged_cluster_costs_no_request() {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).start().await;
    two_services(&api);
    let watch = watch(&api);
    let before = until(&watch, "both", lists(&["a/one", "b/two"])).await;
    watches_open(&api, 4).await;
    api.clear_requests();
    // A ConfigMap is of no interest; by the time its neighbour is seen, an interested watch would have shown.
    api.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "a", "name": "c"}}));
    api.delete(KIND, "a", "one");
    let after = until(&watch, "the deletion", lists(&["b/two"])).await;
    assert_eq!(after.version, before.version + 1);
    assert_eq!(api.count(|_| true), 0);
}
