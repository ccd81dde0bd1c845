//! Complete reads: they are counted, asked for, and made from time to time.

use std::time::Duration;

use cluster::{Cluster, ClusterSnapshot, ClusterWatch, KindState, WatchOptions};
use rstest::rstest;
use testkit::kube::{
    Fault, KubeApi,
    samples::{InferenceService, llm_inference_service},
};

use crate::support::{is_complete, lists, names, quick, two_services, until, watch, watches_open};

const SERVICES: &str = "inferenceservices";
const LLM_SERVICES: &str = "llminferenceservices";

async fn both_kinds() -> KubeApi {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).start().await;
    two_services(&api);
    api.apply(llm_inference_service("v1alpha2", "a", "llm", "hf://org/model"));
    api
}

fn counts(read: u64) -> impl Fn(&ClusterSnapshot) -> bool {
    move |snapshot| snapshot.complete_lists >= read
}

/// Whole lists, as the watch begins with; a probe asks for one object only.
fn whole_lists(api: &KubeApi, plural: &'static str) -> usize {
    api.count(|request| request.is_on(plural) && request.query.contains("limit=500"))
}

#[tokio::test]
async fn the_first_read_counts_once_and_what_is_asked_for_is_listed_anew() {
    let api = both_kinds().await;
    let watch = watch(&api);
    let first = until(&watch, "the first read", lists(&["a/one", "b/two"])).await;
    assert_eq!(first.complete_lists, 1);
    watches_open(&api, 4).await;
    api.clear_requests();
    let read = watch.relist();
    assert_eq!(read, 2);
    let second = until(&watch, "the second read", counts(read)).await;
    assert_eq!((names(&second), second.complete_lists), (names(&first), 2));
    assert!(second.version > first.version, "whoever waits for it is told");
    assert_eq!((whole_lists(&api, SERVICES), whole_lists(&api, LLM_SERVICES)), (1, 1));
    assert_eq!(whole_lists(&api, "services") + whole_lists(&api, "serviceaccounts"), 0);
    // The watches go on from the new lists.
    api.delete("InferenceService", "a", "one");
    until(&watch, "a change after it", lists(&["b/two"])).await;
}

#[tokio::test]
async fn a_read_counts_promptly_where_kinds_are_absent() {
    let api = KubeApi::builder().start().await;
    let options = WatchOptions { discovery_interval: Duration::from_hours(1), ..quick() };
    let watch = ClusterWatch::start(&Cluster::new(api.client(), "bridge"), options);
    let absent = until(&watch, "absence", counts(1)).await;
    assert_eq!((&absent.inference_services, &absent.llm_inference_services), (&KindState::Absent, &KindState::Absent));
    let read = watch.relist();
    until(&watch, "absence again", counts(read)).await;
}

#[rstest]
#[case::inference_services(SERVICES)]
#[case::llm_inference_services(LLM_SERVICES)]
#[tokio::test]
async fn a_read_that_failed_for_one_kind_does_not_count(#[case] plural: &'static str) {
    let api = both_kinds().await;
    let watch = watch(&api);
    until(&watch, "the first read", lists(&["a/one", "b/two"])).await;
    watches_open(&api, 4).await;
    let guard = api.fail_while(move |request| request.is_on(plural), Fault::Status(500));
    let read = watch.relist();
    let is_stale = |state: &KindState| matches!(state, KindState::Stale { .. });
    let stale = |snapshot: &ClusterSnapshot| {
        is_stale(&snapshot.inference_services) || is_stale(&snapshot.llm_inference_services)
    };
    let failed = until(&watch, "staleness", stale).await;
    assert_eq!((failed.complete_lists, failed.services.len(), failed.llm_services.len()), (1, 2, 1));
    drop(guard);
    let whole = until(&watch, "the read", counts(read)).await;
    assert!(!stale(&whole));
}

#[tokio::test]
async fn a_list_that_began_before_it_was_asked_for_does_not_count() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let watch = watch(&api);
    let reads = [watch.relist(), watch.relist(), watch.relist()];
    assert_eq!(reads, [2, 3, 4]);
    api.clear_requests();
    until(&watch, "the last of them", |snapshot| snapshot.complete_lists == 4).await;
    assert!(whole_lists(&api, SERVICES) <= 2, "requests that come together share a list");
}

/// The list is answered, the watch never is: nothing tells that changes are missed.
fn deaf(api: &KubeApi) -> testkit::kube::FaultGuard {
    api.fail_while(|request| request.is_on(SERVICES) && request.is_watch(), Fault::Hang)
}

#[tokio::test]
async fn a_list_shows_what_a_silent_watch_did_not() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let _guard = deaf(&api);
    let watch = watch(&api);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    api.delete("InferenceService", "a", "one");
    let read = watch.relist();
    let snapshot = until(&watch, "the read", counts(read)).await;
    assert_eq!((names(&snapshot), is_complete(&snapshot)), (vec!["b/two".to_owned()], true));
}

#[tokio::test]
async fn everything_is_listed_from_time_to_time() {
    let api = KubeApi::builder().with_kserve().start().await;
    two_services(&api);
    let _guard = deaf(&api);
    let options = WatchOptions { relist_interval: Duration::from_millis(100), ..quick() };
    let watch = ClusterWatch::start(&Cluster::new(api.client(), "bridge"), options);
    until(&watch, "both", lists(&["a/one", "b/two"])).await;
    api.apply(InferenceService::new("c", "three").build());
    until(&watch, "what no watch told", lists(&["a/one", "b/two", "c/three"])).await;
    until(&watch, "more reads", counts(4)).await;
    assert!(whole_lists(&api, "services") > 1 && whole_lists(&api, "serviceaccounts") > 1);
}
