//! When a record is UNDEPLOYED, and when not.

use rstest::rstest;
use serde_json::json;
use testkit::eventually;
use testkit::kube::{Fault, RecordedRequest};

use crate::world::{KIND, ODH, SOON, SPACE, World, is};

#[tokio::test]
async fn a_service_that_is_being_deleted_ends_its_record_and_is_not_held_up() {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("granite", &model);
    world.kube.edit(KIND, SPACE, "granite", |service| {
        service["metadata"]["finalizers"] = json!(["example.com/somebody-elses"]);
    });
    let reconciler = world.start(&[]).await;
    let record = world.record("the record", |_| true).await;
    world.kube.delete(KIND, SPACE, "granite");
    let ended = world.record("the end", |record| is(record, "UNDEPLOYED")).await;
    assert_eq!((&ended["id"], &ended["customProperties"]), (&record["id"], &record["customProperties"]));
    assert_eq!(world.service("granite")["metadata"]["finalizers"], json!(["example.com/somebody-elses"]));
    // Its last finalizer goes, and it with it: there is nothing more to write.
    world.asked();
    world.let_go("granite").await;
    world.serve_model("other", &model);
    world.states(&[("granite", "UNDEPLOYED"), ("other", "DEPLOYED")]).await;
    let patch = format!("PATCH inference_services/{}", record["id"].as_str().unwrap());
    let asked = world.asked();
    assert!(!asked.contains(&patch), "{asked:?}");
    reconciler.stop().await;
}

#[tokio::test]
async fn a_service_that_went_while_nobody_looked_ends_its_record_once() {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("gone", &model);
    world.serve_model("stays", &model);
    world.once(&[]).await.unwrap();
    world.kube.delete(KIND, SPACE, "gone");
    world.asked();
    for times in [1, 0] {
        world.once(&[]).await.unwrap();
        world.states(&[("gone", "UNDEPLOYED"), ("stays", "DEPLOYED")]).await;
        let patches = world.asked().iter().filter(|asked| asked.starts_with("PATCH")).count();
        assert_eq!(patches, times);
    }
    // The same name again is another service.
    world.serve_model("gone", &model);
    world.once(&[]).await.unwrap();
    world.states(&[("gone", "DEPLOYED"), ("gone", "UNDEPLOYED"), ("stays", "DEPLOYED")]).await;
}

#[tokio::test]
async fn a_service_that_loses_its_label_ends_its_record() {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("granite", &model);
    let reconciler = world.start(&[]).await;
    world.record("the record", |_| true).await;
    let relabel = |labels| world.kube.edit(KIND, SPACE, "granite", |service| service["metadata"]["labels"] = labels);
    relabel(json!({}));
    world.record("the end", |record| is(record, "UNDEPLOYED")).await;
    relabel(json!({format!("{ODH}registered-model-id"): model}));
    world.record("the record again", |record| is(record, "DEPLOYED")).await;
    reconciler.stop().await;
}

#[rstest]
#[case::forbidden(Fault::Status(403))]
#[case::gone(Fault::Status(410))]
#[case::error(Fault::Status(500))]
#[case::garbage(Fault::Garbage)]
#[tokio::test]
async fn services_that_cannot_be_listed_are_not_gone(#[case] fault: Fault) {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("granite", &model);
    world.once(&[]).await.unwrap();
    world.kube.delete(KIND, SPACE, "granite");
    world.kube.clear_requests();
    world.asked();
    let is_list = |request: &RecordedRequest| request.is_on("inferenceservices");
    let unlisted = world.kube.fail_while(is_list, fault);
    let reconciler = world.start(&["--watch-namespaces", SPACE]).await;
    eventually(SOON, "lists fail", async || world.kube.count(is_list) >= 3).await;
    let (status, reason) = reconciler.page("/readyz").await;
    assert!(status == 503 && reason.contains("InferenceServices"), "{status} {reason}");
    assert_eq!(world.asked(), Vec::<String>::new());
    world.states(&[("granite", "DEPLOYED")]).await;
    drop(unlisted);
    world.states(&[("granite", "UNDEPLOYED")]).await;
    reconciler.stop().await;
}

#[tokio::test]
async fn a_namespace_that_is_not_watched_and_an_object_that_cannot_be_read_are_not_gone() {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("odd", &model);
    world.serve_model("gone", &model);
    world.once(&[]).await.unwrap();
    world.kube.delete(KIND, SPACE, "gone");
    world.kube.edit(KIND, SPACE, "odd", |service| service["status"]["url"] = json!(5));
    // A service account that may look into another namespace only.
    world.kube.apply_yaml(ELSEWHERE);
    world.kube.add_token("limited", "system:serviceaccount:elsewhere:reconciler");
    world.once(&["--k8s-token", "limited", "--watch-namespaces", "elsewhere"]).await.unwrap();
    world.states(&[("gone", "DEPLOYED"), ("odd", "DEPLOYED")]).await;
    world.once(&[]).await.unwrap();
    world.states(&[("gone", "UNDEPLOYED"), ("odd", "DEPLOYED")]).await;
}

const ELSEWHERE: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reconciler, namespace: elsewhere}
rules: [{apiGroups: [serving.kserve.io], resources: [inferenceservices], verbs: [list, watch, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reconciler, namespace: elsewhere}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reconciler}
subjects: [{kind: ServiceAccount, name: reconciler, namespace: elsewhere}]
";

#[tokio::test]
async fn records_of_others_are_left_alone() {
    let world = World::new().await;
    let model = world.model("granite").await;
    let environment = world.make("serving_environments", json!({"name": SPACE})).await;
    let mark = |text: &str| json!({"metadataType": "MetadataStringValue", "string_value": text});
    let of_another_cluster =
        json!({"kserveCluster": mark("west"), "kserveUid": mark("u"), "kserveService": mark("far")});
    for (name, properties) in [("by-hand", json!({})), ("controller/uid", json!({})), ("far/u", of_another_cluster)] {
        let record = json!({
            "name": name, "servingEnvironmentId": environment, "registeredModelId": model, "customProperties": properties,
        });
        world.make("inference_services", record).await;
    }
    world.asked();
    world.once(&["--cluster-name", "east"]).await.unwrap();
    assert_eq!(world.asked(), ["GET serving_environments", "GET inference_services"]);
    world.states(&[("by-hand", "DEPLOYED"), ("controller", "DEPLOYED"), ("far", "DEPLOYED")]).await;
    world.once(&["--cluster-name", "west"]).await.unwrap();
    world.states(&[("by-hand", "DEPLOYED"), ("controller", "DEPLOYED"), ("far", "UNDEPLOYED")]).await;
}
