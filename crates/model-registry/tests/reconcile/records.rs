//! What is recorded of a service, and what is changed when it changes.

use http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::eventually;

use crate::world::{KIND, KUBEFLOW, ODH, SOON, SPACE, World, is, property, uid};

#[rstest]
#[case::open_data_hub(ODH)]
#[case::kubeflow(KUBEFLOW)]
#[tokio::test]
async fn a_labelled_service_is_recorded_and_told_the_id_of_its_record(#[case] prefix: &str) {
    let world = World::new().await;
    let model = world.model("granite").await;
    let version = world.version(&model, "v1").await;
    let before = world.serve("granite", prefix, &[("registered-model-id", &model), ("model-version-id", &version)]);
    world.kube.apply(testkit::kube::samples::InferenceService::new(SPACE, "unlabelled").build());
    world.kube.clear_requests();
    let reconciler = world.start(&[]).await;
    let record = world.record("the record", |_| true).await;
    let (id, uid) = (record["id"].as_str().unwrap(), uid(&before));
    for (field, expected) in [
        ("name", format!("granite/{uid}").as_str()),
        ("externalId", uid.as_str()),
        ("registeredModelId", &model),
        ("modelVersionId", &version),
        ("runtime", "ovms"),
        ("desiredState", "DEPLOYED"),
    ] {
        assert_eq!(record[field], expected, "{field}");
    }
    let environment = world.send(Method::GET, "serving_environment?name=models", None).await;
    assert_eq!(record["servingEnvironmentId"], environment["id"]);
    for (name, expected) in [
        ("url", "https://granite-models.apps.example.com/"),
        ("address", "https://granite-predictor.models.svc.cluster.local:8443/"),
        ("modelFormat", "onnx"),
        ("storageUri", "oci://registry.example.com/models/granite:1"),
    ] {
        assert_eq!(property(&record, name).as_deref(), Some(expected), "{name}");
    }
    let label = format!("{prefix}inference-service-id");
    eventually(SOON, "the label", async || world.label("granite", &label).filter(|value| value == id)).await;
    let ready = async || reconciler.page("/readyz").await.0 == 200;
    eventually(SOON, "it is ready", ready).await;
    reconciler.stop().await;

    assert_eq!(world.labellings(), [json!({"metadata": {"labels": {label.as_str(): id}}})], "once, and nothing else");
    let mut after = world.service("granite");
    assert!(after["metadata"]["finalizers"].is_null(), "{after}");
    after["metadata"]["labels"].as_object_mut().unwrap().remove(&label);
    for part in ["labels", "annotations", "name", "uid"] {
        assert_eq!(after["metadata"][part], before["metadata"][part], "{part}");
    }
    assert_eq!((&after["spec"], &after["status"]), (&before["spec"], &before["status"]));
}

#[tokio::test]
async fn a_changed_service_changes_its_record_and_nothing_that_others_wrote_there() {
    let world = World::new().await;
    let model = world.model("granite").await;
    let (first, second) = (world.version(&model, "v1").await, world.version(&model, "v2").await);
    world.serve("granite", ODH, &[("registered-model-id", &model), ("model-version-id", &first)]);
    let reconciler = world.start(&["--resync-interval", "200ms"]).await;
    let record = world.record("the record", |_| true).await;
    let id = record["id"].as_str().unwrap();
    let mut properties = record["customProperties"].clone();
    properties["team"] = json!({"metadataType": "MetadataStructValue", "struct_value": "WzEsIDJd"});
    let theirs = json!({"customProperties": properties, "description": "theirs"});
    world.send(Method::PATCH, &format!("inference_services/{id}"), Some(theirs)).await;

    world.kube.edit(KIND, SPACE, "granite", |service| {
        service["metadata"]["labels"][format!("{ODH}model-version-id")] = json!(second);
        service["spec"]["predictor"]["model"]["runtime"] = json!("vllm");
        service["status"]["url"] = json!("https://elsewhere.example.com");
        service["status"]["address"] = Value::Null;
    });
    let is_new = |record: &Value| {
        record["modelVersionId"] == second
            && record["runtime"] == "vllm"
            && property(record, "url").as_deref() == Some("https://elsewhere.example.com/")
            && property(record, "address").is_none()
    };
    let record = world.record("the new version", is_new).await;
    assert_eq!(record["id"], id);
    assert_eq!(record["customProperties"]["team"]["struct_value"], "WzEsIDJd");
    assert_eq!(record["description"], "theirs");

    world.send(Method::PATCH, &format!("inference_services/{id}"), Some(json!({"desiredState": "UNDEPLOYED"}))).await;
    world.record("what is served is DEPLOYED again", |record| is(record, "DEPLOYED")).await;
    reconciler.stop().await;
}

#[tokio::test]
async fn an_unchanged_world_costs_two_requests_and_no_write() {
    let world = World::new().await;
    let model = world.model("granite").await;
    for name in ["a", "b", "c"] {
        world.serve_model(name, &model);
    }
    let reconciler = world.start(&[]).await;
    world.states(&[("a", "DEPLOYED"), ("b", "DEPLOYED"), ("c", "DEPLOYED")]).await;
    let label = format!("{ODH}inference-service-id");
    let all_labelled = async || ["a", "b", "c"].iter().all(|name| world.label(name, &label).is_some());
    eventually(SOON, "labels", all_labelled).await;
    reconciler.stop().await;
    let mut asked = world.asked();
    asked.sort();
    let mut expected = vec!["GET serving_environments", "GET inference_services", "POST serving_environments"];
    let get_model = format!("GET registered_models/{model}");
    for _ in 0..3 {
        expected.extend([get_model.as_str(), "POST inference_services"]);
    }
    expected.sort_unstable();
    assert_eq!(asked, expected);
    assert_eq!(world.labellings().len(), 3);

    world.kube.clear_requests();
    let reconciler = world.start(&[]).await;
    let ready = async || reconciler.page("/readyz").await.0 == 200;
    eventually(SOON, "it is ready", ready).await;
    assert_eq!(world.asked(), ["GET serving_environments", "GET inference_services"]);
    // What makes no difference is not even asked about; by the time that its neighbour's end is seen, it would have been.
    world.touch("a", "1");
    world.kube.delete(KIND, SPACE, "b");
    world.states(&[("a", "DEPLOYED"), ("b", "UNDEPLOYED"), ("c", "DEPLOYED")]).await;
    let asked = world.asked();
    let [environments, services, patch] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!([environments.as_str(), services], ["GET serving_environments", "GET inference_services"]);
    assert!(patch.starts_with("PATCH inference_services/"), "{patch}");
    assert_eq!(world.labellings(), Vec::<Value>::new());
    reconciler.stop().await;
}

#[tokio::test]
async fn without_labels_nothing_is_written_to_the_cluster_and_records_are_found_all_the_same() {
    let world = World::new().await;
    let model = world.model("granite").await;
    let service = world.serve_model("granite", &model);
    let reconciler = world.start(&["--write-label=false"]).await;
    let record = world.record("the record", |_| true).await;
    reconciler.stop().await;
    let reconciler = world.start(&["--write-label=false"]).await;
    world.kube.edit(KIND, SPACE, "granite", |service| service["status"]["url"] = json!("https://new.example.com"));
    let is_new = |record: &Value| property(record, "url").as_deref() == Some("https://new.example.com/");
    assert_eq!(world.record("the new address", is_new).await["id"], record["id"]);
    reconciler.stop().await;
    assert_eq!(world.labellings(), Vec::<Value>::new());
    assert_eq!(world.service("granite")["metadata"]["labels"], service["metadata"]["labels"]);
}

/// The existing controller calls its records so, and has no external ids.
#[tokio::test]
async fn a_record_that_another_controller_made_is_taken_over() {
    let world = World::new().await;
    let model = world.model("granite").await;
    let (one, two) = (world.serve_model("one", &model), world.serve_model("two", &model));
    let environment = world.make("serving_environments", json!({"name": SPACE})).await;
    let record = |name: &str| json!({"name": name, "servingEnvironmentId": environment, "registeredModelId": model});
    let of_one = world.make("inference_services", record(&format!("one/{}", uid(&one)))).await;
    let of_two = world.make("inference_services", record("made by hand")).await;
    world.kube.edit(KIND, SPACE, "two", |service| {
        service["metadata"]["labels"][format!("{ODH}inference-service-id")] = json!(of_two);
    });
    let reconciler = world.start(&[]).await;
    let records = eventually(SOON, "both are marked", async || {
        let records = world.records().await;
        if records.iter().all(|record| property(record, "url").is_some()) { Ok(records) } else { Err(records) }
    })
    .await;
    let ids: Vec<&Value> = records.iter().map(|record| &record["id"]).collect();
    assert_eq!(ids, [of_one.as_str(), of_two.as_str()]);
    assert_eq!([&records[0]["externalId"], &records[1]["externalId"]], [uid(&one).as_str(), uid(&two).as_str()]);
    reconciler.stop().await;
}

/// People copy manifests with their labels.
#[tokio::test]
async fn a_label_that_names_the_record_of_another_service_is_not_believed() {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve_model("first", &model);
    let reconciler = world.start(&[]).await;
    let record = world.record("the record", |_| true).await;
    let id = record["id"].as_str().unwrap();
    world.serve("copy", ODH, &[("registered-model-id", &model), ("inference-service-id", id)]);
    world.states(&[("first", "DEPLOYED"), ("copy", "DEPLOYED")]).await;
    let label = format!("{ODH}inference-service-id");
    let corrected = async || world.label("copy", &label).filter(|value| value != id);
    eventually(SOON, "the label is corrected", corrected).await;
    assert_eq!(world.label("first", &label).as_deref(), Some(id));
    reconciler.stop().await;
}

#[tokio::test]
async fn a_service_that_comes_to_serve_another_model_gets_another_record() {
    let world = World::new().await;
    let (granite, llama) = (world.model("granite").await, world.model("llama").await);
    world.serve_model("chat", &granite);
    let reconciler = world.start(&[]).await;
    world.record("the record", |_| true).await;
    let set = |model: &str| {
        world.kube.edit(KIND, SPACE, "chat", |service| {
            service["metadata"]["labels"][format!("{ODH}registered-model-id")] = json!(model);
        });
    };
    let deployed = async |model: &str, ended: &str| {
        let what = format!("{model} is served");
        eventually(SOON, &what, async || {
            let records = world.records().await;
            let state = |of: &str| records.iter().find(|record| record["registeredModelId"] == of).cloned();
            let ends = state(ended).is_some_and(|record| is(&record, "UNDEPLOYED"));
            let serves = state(model).is_some_and(|record| is(&record, "DEPLOYED"));
            if records.len() == 2 && ends && serves { Ok(()) } else { Err(records) }
        })
        .await;
    };
    set(&llama);
    deployed(&llama, &granite).await;
    set(&granite);
    deployed(&granite, &llama).await;
    reconciler.stop().await;
}

#[rstest]
#[case::named(&[("name", "mine")], true)]
#[case::named_otherwise(&[("name", "theirs")], false)]
#[case::not_named(&[], true)]
#[case::in_another_namespace(&[("name", "mine"), ("namespace", "elsewhere")], false)]
#[tokio::test]
async fn a_service_may_say_which_registry_it_means(#[case] labels: &[(&str, &str)], #[case] is_meant: bool) {
    let world = World::new().await;
    let model = world.model("granite").await;
    world.serve("granite", ODH, &[&[("registered-model-id", model.as_str())], labels].concat());
    world.once(&["--registry-name", "mine", "--registry-namespace", "registries"]).await.unwrap();
    assert_eq!(world.records().await.len(), usize::from(is_meant));
    world.once(&["--write-label=false"]).await.unwrap();
    assert_eq!(world.records().await.len(), 1, "without settings every service is meant");
}
