//! LLMInferenceServices: whichever version is served is read, and they do not blur what is known of InferenceServices.

use cluster::{Cluster, ClusterSnapshot, ClusterWatch, KindState, Scope, ServiceKind, WatchOptions};
use rstest::rstest;
use serde_json::json;
use testkit::kube::{
    Definition, Fault, KubeApi, RecordedRequest,
    samples::{InferenceService, llm_inference_service},
};

use crate::support::{
    CLUSTER_WIDE, USER, all_watches_open, is_complete, lists, quick, role, two_services, until, watch, watches_open,
};

const LLM: ServiceKind = ServiceKind::LlmInferenceService;
const PLURAL: &str = "llminferenceservices";

fn llm(version: &str, name: &str) -> serde_json::Value {
    llm_inference_service(version, "a", name, "hf://org/model")
}

fn shows(names: &[&str]) -> impl Fn(&ClusterSnapshot) -> bool {
    let wanted = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    move |snapshot| {
        snapshot.is_known() && snapshot.llm_services.iter().map(|llm| llm.name.clone()).collect::<Vec<_>>() == wanted
    }
}

fn is_llm_stale(snapshot: &ClusterSnapshot) -> bool {
    matches!(snapshot.llm_inference_services, KindState::Stale { .. })
}

fn asked_as(version: &'static str) -> impl Fn(&RecordedRequest) -> bool {
    move |request| request.is_on(PLURAL) && request.is_on(version)
}

fn limited(api: &KubeApi, namespaces: &[&str]) -> ClusterWatch {
    let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
    let options = WatchOptions { namespaces, ..quick() };
    ClusterWatch::start(&Cluster::new(api.client_for("limited"), "bridge"), options)
}

#[rstest]
#[case::new(&["v1alpha2"], "v1alpha2", "v1alpha1")]
#[case::old(&["v1alpha1"], "v1alpha1", "v1alpha2")]
#[case::both(&["v1alpha1", "v1alpha2"], "v1alpha2", "v1alpha1")]
#[tokio::test]
async fn the_best_served_version_is_read(
    #[case] served: &[&str],
    #[case] used: &'static str,
    #[case] other: &'static str,
) {
    let api = KubeApi::builder().with_kserve().with_llm(served).start().await;
    api.apply(llm(served[0], "one"));
    let watch = watch(&api);
    let snapshot = until(&watch, "the service", shows(&["one"])).await;
    let service = &snapshot.llm_services[0];
    assert!(service.ready() && service.authentication());
    assert_eq!(service.served_models()[0].uri.as_deref(), Some("hf://org/model"));
    assert_eq!(service.url().unwrap().host_str(), Some("gateway.example.com"));
    assert!(matches!(snapshot.llm_inference_services, KindState::Complete { .. }));
    api.apply(llm(used, "two"));
    until(&watch, "another", shows(&["one", "two"])).await;
    api.delete("LLMInferenceService", "a", "one");
    let snapshot = until(&watch, "the deletion", shows(&["two"])).await;
    assert!(snapshot.proves_absent_of(LLM, "a", "one") && !snapshot.proves_absent_of(LLM, "a", "two"));
    assert!(api.count(asked_as(used)) > 0);
    assert_eq!(api.count(asked_as(other)), 0);
}

#[tokio::test]
async fn a_missing_kind_is_normal_and_picked_up_when_it_appears() {
    // Another kind of the group comes in the version that LLMInferenceServices would have.
    let runtimes = Definition::new("serving.kserve.io", "ServingRuntime", "servingruntimes", &["v1alpha1"]);
    let api = KubeApi::builder().with_kserve().with_crd(runtimes).start().await;
    two_services(&api);
    let watch = watch(&api);
    let snapshot = until(&watch, "both", lists(&["a/one", "b/two"])).await;
    assert_eq!(snapshot.llm_inference_services, KindState::Absent);
    assert!(snapshot.proves_absent_of(LLM, "a", "one"));
    api.install_crd(&Definition::llm_inference_services(&["v1alpha2"]));
    api.apply(llm("v1alpha2", "one"));
    until(&watch, "the service", shows(&["one"])).await;
    api.remove_crd("llminferenceservices.serving.kserve.io");
    let absent = |snapshot: &ClusterSnapshot| snapshot.llm_inference_services == KindState::Absent;
    let snapshot = until(&watch, "absence", absent).await;
    assert!(snapshot.llm_services.is_empty() && snapshot.services.len() == 2);
}

#[tokio::test]
async fn a_version_that_goes_is_replaced_and_one_that_comes_is_taken_at_the_next_list() {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha1"]).start().await;
    api.apply(llm("v1alpha1", "one"));
    let watch = watch(&api);
    until(&watch, "the service", shows(&["one"])).await;
    watches_open(&api, 4).await;
    api.install_crd(&Definition::llm_inference_services(&["v1alpha1", "v1alpha2"]));
    let read = watch.relist();
    until(&watch, "the new list", |snapshot| snapshot.complete_lists >= read && shows(&["one"])(snapshot)).await;
    assert!(api.count(asked_as("v1alpha2")) > 0);

    api.clear_requests();
    api.install_crd(&Definition::llm_inference_services(&["v1alpha1"]));
    let old = |snapshot: &ClusterSnapshot| shows(&["one", "two"])(snapshot) && !is_llm_stale(snapshot);
    api.apply(llm("v1alpha1", "two"));
    until(&watch, "both, in the version that is left", old).await;
    assert!(api.count(asked_as("v1alpha1")) > 0);
}

#[rstest]
#[case::error(Fault::Status(500))]
#[case::not_found(Fault::Status(404))]
#[case::forbidden(Fault::Status(403))]
#[case::garbage(Fault::Garbage)]
#[case::reset(Fault::Reset)]
#[tokio::test]
async fn a_failing_list_concerns_llm_inference_services_only(#[case] fault: Fault) {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).start().await;
    two_services(&api);
    api.apply(llm("v1alpha2", "one"));
    let watch = watch(&api);
    until(&watch, "all", |snapshot| shows(&["one"])(snapshot) && lists(&["a/one", "b/two"])(snapshot)).await;
    watches_open(&api, 4).await;
    let guard = api.fail_while(|request| request.is_on(PLURAL), fault);
    api.expire_watches();
    let stale = until(&watch, "staleness", is_llm_stale).await;
    assert_eq!(stale.llm_services.len(), 1);
    assert!(!stale.proves_absent_of(LLM, "a", "none"));
    let current = until(&watch, "InferenceServices", is_complete).await;
    assert!(current.is_known() && current.proves_absent("a", "none"));
    api.delete("LLMInferenceService", "a", "one");
    drop(guard);
    until(&watch, "recovery", |snapshot| shows(&[])(snapshot) && !is_llm_stale(snapshot)).await;
}

#[rstest]
#[case::error(Fault::Status(500))]
#[case::garbage(Fault::Garbage)]
#[tokio::test]
async fn a_failing_discovery_is_no_absence(#[case] fault: Fault) {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).start().await;
    api.apply(llm("v1alpha2", "one"));
    let watch = watch(&api);
    until(&watch, "the service", shows(&["one"])).await;
    watches_open(&api, 4).await;
    let guard = api.fail_while(|request| request.path == "/apis", fault);
    let read = watch.relist();
    let stale = until(&watch, "staleness", is_llm_stale).await;
    assert_eq!(stale.llm_services.len(), 1);
    assert!(stale.complete_lists < read);
    drop(guard);
    until(&watch, "recovery", |snapshot| shows(&["one"])(snapshot) && snapshot.complete_lists >= read).await;
}

#[tokio::test]
async fn without_permission_inference_services_are_known_all_the_same() {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).token("limited", USER).start().await;
    api.apply_yaml(CLUSTER_WIDE);
    two_services(&api);
    api.apply(llm("v1alpha2", "one"));
    let watch = limited(&api, &["a"]);
    let snapshot = until(&watch, "both", lists(&["a/one", "b/two"])).await;
    assert_eq!(snapshot.scope, Scope::AllNamespaces);
    assert!(matches!(&snapshot.llm_inference_services, KindState::Forbidden { reason } if reason.contains(PLURAL)));
    assert!(snapshot.proves_absent("a", "none") && !snapshot.proves_absent_of(LLM, "a", "none"));
    assert_eq!(snapshot.complete_lists, 1, "what may not be listed is not waited for");
    let read = watch.relist();
    until(&watch, "the list that was asked for", |snapshot| snapshot.complete_lists >= read).await;
}

#[tokio::test]
async fn where_only_namespaces_may_be_listed_each_kind_has_its_scope() {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).token("limited", USER).start().await;
    api.apply_yaml(CLUSTER_WIDE);
    api.apply_yaml(&role("a", PLURAL));
    api.apply(llm("v1alpha2", "one"));
    let snapshot = until(&limited(&api, &["a"]), "the service", shows(&["one"])).await;
    assert_eq!((snapshot.scope, snapshot.llm_scope), (Scope::AllNamespaces, Scope::Namespaces(vec!["a".to_owned()])));
}

#[tokio::test]
async fn a_kind_that_appears_later_is_watched_where_that_is_permitted() {
    let api = KubeApi::builder().with_kserve().token("limited", USER).start().await;
    api.apply_yaml(CLUSTER_WIDE);
    api.apply_yaml(&role("a", PLURAL));
    let watch = limited(&api, &["a"]);
    let snapshot = until(&watch, "the first lists", lists(&[])).await;
    assert_eq!(snapshot.llm_inference_services, KindState::Absent);
    assert!(snapshot.proves_absent_of(LLM, "elsewhere", "one"), "there is none in any namespace");
    api.install_crd(&Definition::llm_inference_services(&["v1alpha2"]));
    api.apply(llm("v1alpha2", "one"));
    let snapshot = until(&watch, "the service", shows(&["one"])).await;
    assert!(!snapshot.proves_absent_of(LLM, "elsewhere", "one"));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_named_by_its_kind() {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).start().await;
    let mut odd = llm("v1alpha2", "odd");
    odd["spec"] = json!({"model": 5});
    api.apply(odd);
    api.apply(llm("v1alpha2", "one"));
    api.apply(InferenceService::new("a", "same").build());
    let watch = watch(&api);
    let snapshot =
        until(&watch, "the readable ones", |snapshot| shows(&["one"])(snapshot) && lists(&["a/same"])(snapshot)).await;
    assert_eq!((snapshot.unreadable.len(), snapshot.unreadable[0].kind), (1, LLM));
    assert!(snapshot.unreadable[0].to_string().starts_with("LLMInferenceService a/odd: spec"));
    assert!(!snapshot.proves_absent_of(LLM, "a", "odd") && snapshot.proves_absent("a", "odd"));
    assert!(snapshot.proves_absent_of(LLM, "a", "same") && !snapshot.proves_absent("a", "same"));
}

#[tokio::test]
async fn a_kind_that_is_absent_costs_no_list_of_another() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    let before = until(&watch, "both", lists(&["a/one", "b/two"])).await;
    all_watches_open(&api).await;
    api.clear_requests();
    let looked_again = || async { api.count(|request| request.path == "/apis") > 2 };
    testkit::eventually(crate::support::DEADLINE, "the search to go on", looked_again).await;
    assert_eq!(api.count(|request| request.path != "/apis" && !request.is_on(PLURAL) && !request.is_watch()), 0);
    assert_eq!(watch.snapshot().version, before.version, "looking is no change");
}
