//! What is not of use is not asked about.

use cluster::{Cluster, ClusterWatch, Kinds, WatchOptions};
use testkit::kube::{KubeApi, RecordedRequest};

use crate::support::{is_complete, names, quick, two_services, until, watches_open};

#[tokio::test]
async fn inference_services_alone_take_no_right_on_anything_else() {
    let api = KubeApi::builder().with_kserve().with_llm(&["v1alpha2"]).start().await;
    two_services(&api);
    let options = WatchOptions { kinds: Kinds::InferenceServices, ..quick() };
    let watch = ClusterWatch::start(&Cluster::new(api.client(), "bridge"), options);
    let snapshot = until(&watch, "a complete list", is_complete).await;
    assert_eq!(names(&snapshot), ["a/one", "b/two"]);
    assert!(snapshot.proves_absent("a", "none") && !snapshot.proves_absent("a", "one"));
    watches_open(&api, 1).await;
    let is_other = |request: &RecordedRequest| !request.is_on("inferenceservices");
    assert_eq!(api.requests().into_iter().filter(is_other).map(|request| request.path).collect::<Vec<_>>(), [""; 0]);
}
