//! The label that is given to an InferenceService.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail like tests")]

use cluster::{Cluster, InferenceService, RequestError};
use serde_json::json;
use testkit::kube::{KubeApi, samples};

const LABEL: &str = "example.com/record";

#[tokio::test]
async fn it_is_all_that_is_sent_and_all_that_changes() {
    let api = KubeApi::builder().with_kserve().start().await;
    let before = api.apply(samples::InferenceService::new("a", "one").label("team", "x").build());
    let service = InferenceService::from_json(before.clone()).unwrap();
    let cluster = Cluster::new(api.client(), "bridge");
    cluster.label(&service, LABEL, "7").await.unwrap();
    let sent = api.requests().pop().unwrap();
    assert_eq!((sent.method.as_str(), sent.content_type.as_str()), ("PATCH", "application/merge-patch+json"));
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&sent.body).unwrap(),
        json!({"metadata": {"labels": {LABEL: "7"}}})
    );
    let after = api.get_object("InferenceService", "a", "one").unwrap();
    assert_eq!(after["metadata"]["labels"], json!({"team": "x", LABEL: "7"}));
    assert_eq!((&after["spec"], &after["status"]), (&before["spec"], &before["status"]));

    api.delete("InferenceService", "a", "one");
    let error = cluster.label(&service, LABEL, "8").await.unwrap_err();
    assert!(matches!(error, RequestError::NotFound { .. }), "{error}");
    api.add_token("stranger", "system:serviceaccount:a:stranger");
    let error = Cluster::new(api.client_for("stranger"), "a").label(&service, LABEL, "8").await.unwrap_err();
    assert!(error.to_string().contains("patch inferenceservices.serving.kserve.io one in namespace a"), "{error}");
    assert!(matches!(error, RequestError::Forbidden { .. }), "{error}");
}
