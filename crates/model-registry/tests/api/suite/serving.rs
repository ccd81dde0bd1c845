//! Serving environments, inference services and what they serve.

use serde_json::{Value, json};

use crate::registry::{Registry, id};

pub(crate) async fn both_ways_to_register_a_service_make_one(registry: &Registry) {
    let model = registry.model("m").await;
    let environment = registry.environment("e").await;
    let body = |name: &str| json!({"name": name, "servingEnvironmentId": environment, "registeredModelId": model});
    let one = registry.create("inference_services", body("1")).await;
    let beneath = format!("serving_environments/{environment}/inference_services");
    let other = registry.create(&beneath, body("2")).await;
    for made in [&one, &other] {
        assert_eq!(made["servingEnvironmentId"], environment);
        assert_eq!(made["registeredModelId"], model);
        assert_eq!(made["desiredState"], "DEPLOYED");
        assert_eq!(made["customProperties"], json!({}));
    }
    assert_eq!(registry.items(&beneath).await, [one.clone(), other.clone()]);
    assert_eq!(registry.items("inference_services").await, [one, other]);
}

pub(crate) async fn a_service_needs_its_environment_and_model(registry: &Registry) {
    let model = registry.model("m").await;
    let environment = registry.environment("e").await;
    let body =
        |environment: &str, model: &str| json!({"servingEnvironmentId": environment, "registeredModelId": model});
    registry.post("inference_services", &body("999", &model)).await.is_not_found();
    registry.post("inference_services", &body(&model, &model)).await.is_not_found();
    registry.post("inference_services", &body(&environment, "999")).await.is_not_found();
    registry.post("serving_environments/999/inference_services", &body("999", &model)).await.is_not_found();
    let beneath = format!("serving_environments/{environment}/inference_services");
    registry.post(&beneath, &body("998", &model)).await.is_bad();
    assert_eq!(registry.items("inference_services").await, Vec::<Value>::new());
}

pub(crate) async fn a_service_keeps_what_it_is_given(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let environment = registry.environment("e").await;
    let body = json!({
        "name": "s", "servingEnvironmentId": environment, "registeredModelId": model, "modelVersionId": version,
        "runtime": "r", "desiredState": "UNDEPLOYED", "description": "d", "externalId": "x",
    });
    let made = registry.create("inference_services", body.clone()).await;
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    assert_eq!(registry.read(&format!("inference_services/{}", id(&made))).await, made);
    let after =
        registry.update(&format!("inference_services/{}", id(&made)), json!({"desiredState": "DEPLOYED"})).await;
    assert_eq!((&after["desiredState"], &after["modelVersionId"]), (&json!("DEPLOYED"), &json!(version)));
}

pub(crate) async fn the_served_version_is_the_named_or_else_the_newest(registry: &Registry) {
    let (model, other) = (registry.model("m").await, registry.model("o").await);
    let environment = registry.environment("e").await;
    let service = registry.service(&environment, &model).await;
    let path = format!("inference_services/{service}");
    assert_eq!(registry.read(&format!("{path}/model")).await["id"], model);
    registry.get(&format!("{path}/version")).await.is_not_found();
    let first = registry.version(&model, "1").await;
    assert_eq!(registry.read(&format!("{path}/version")).await["id"], first);
    let second = registry.version(&model, "2").await;
    registry.version(&other, "3").await;
    assert_eq!(registry.read(&format!("{path}/version")).await["id"], second);
    registry.update(&path, json!({"modelVersionId": first})).await;
    let served = registry.read(&format!("{path}/version")).await;
    assert_eq!(served, registry.read(&format!("model_versions/{first}")).await);
    registry.get("inference_services/999/version").await.is_not_found();
    registry.get("inference_services/999/model").await.is_not_found();
}

pub(crate) async fn a_serve_needs_its_service_and_version(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let environment = registry.environment("e").await;
    let service = registry.service(&environment, &model).await;
    let body = |version: &str| json!({"modelVersionId": version});
    registry.post("inference_services/999/serves", &body(&version)).await.is_not_found();
    registry.post(&format!("inference_services/{service}/serves"), &body("999")).await.is_not_found();
    registry.post(&format!("inference_services/{service}/serves"), &body(&model)).await.is_not_found();
    assert_eq!(registry.items(&format!("inference_services/{service}/serves")).await, Vec::<Value>::new());
}

pub(crate) async fn serves_are_kept_with_their_state(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let environment = registry.environment("e").await;
    let service = registry.service(&environment, &model).await;
    let path = format!("inference_services/{service}/serves");
    let plain = registry.create(&path, json!({"modelVersionId": version})).await;
    assert_eq!((&plain["lastKnownState"], &plain["modelVersionId"]), (&json!("UNKNOWN"), &json!(version)));
    for state in ["UNKNOWN", "NEW", "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELED"] {
        let body = json!({"name": state, "modelVersionId": version, "lastKnownState": state});
        assert_eq!(registry.create(&path, body.clone()).await["lastKnownState"], state);
        registry.post(&path, &body).await.is_conflict();
    }
    assert_eq!(registry.items(&path).await.len(), 8);
    assert_eq!(registry.names(&format!("{path}?name=NEW")).await, ["NEW"]);
}
