//! Finding one by its name or its external id.

use serde_json::json;

use crate::registry::{Registry, id};

pub(crate) async fn resources_without_parent_are_found_by_name(registry: &Registry) {
    for (one, many) in [
        ("registered_model", "registered_models"),
        ("serving_environment", "serving_environments"),
        ("experiment", "experiments"),
    ] {
        let made = registry.create(many, json!({"name": "a name"})).await;
        registry.create(many, json!({"name": "another"})).await;
        assert_eq!(registry.read(&format!("{one}?name=a+name")).await, made);
        assert_eq!(registry.read(&format!("{one}?name=a%20name&externalId=&parentResourceId=")).await, made);
    }
}

pub(crate) async fn children_are_found_beneath_their_parent(registry: &Registry) {
    let (model, other) = (registry.model("m").await, registry.model("o").await);
    let version = registry.create("model_versions", json!({"name": "n", "registeredModelId": model})).await;
    let of_other = registry.create("model_versions", json!({"name": "n", "registeredModelId": other})).await;
    let environment = registry.environment("e").await;
    let body = json!({"name": "n", "servingEnvironmentId": environment, "registeredModelId": model});
    let service = registry.create("inference_services", body).await;
    let experiment = registry.experiment("x").await;
    let run = registry.create("experiment_runs", json!({"name": "n", "experimentId": experiment})).await;
    let artifacts = format!("model_versions/{}/artifacts", id(&version));
    let artifact = registry.create(&artifacts, json!({"artifactType": "model-artifact", "name": "n"})).await;
    for (path, parent, made) in [
        ("model_version", &model, &version),
        ("model_version", &other, &of_other),
        ("inference_service", &environment, &service),
        ("experiment_run", &experiment, &run),
        ("artifact", &id(&version), &artifact),
        ("model_artifact", &id(&version), &artifact),
    ] {
        assert_eq!(&registry.read(&format!("{path}?name=n&parentResourceId={parent}")).await, made, "{path}");
        registry.get(&format!("{path}?name=other&parentResourceId={parent}")).await.is_not_found();
        registry.get(&format!("{path}?name=n&parentResourceId=999")).await.is_not_found();
    }
}

pub(crate) async fn resources_are_found_by_external_id(registry: &Registry) {
    let model = id(&registry.create("registered_models", json!({"name": "n", "externalId": "ext-m"})).await);
    let environment = id(&registry.create("serving_environments", json!({"name": "n", "externalId": "ext-e"})).await);
    let experiment = id(&registry.create("experiments", json!({"name": "n", "externalId": "ext-x"})).await);
    let service = json!({"externalId": "ext-s", "servingEnvironmentId": environment, "registeredModelId": model});
    registry.create("inference_services", service).await;
    registry.create("model_versions", json!({"name": "n", "externalId": "ext-v", "registeredModelId": model})).await;
    registry.create("experiment_runs", json!({"externalId": "ext-r", "experimentId": experiment})).await;
    registry.create("model_artifacts", json!({"externalId": "ext-a"})).await;
    for (path, external_id) in [
        ("registered_model", "ext-m"),
        ("model_version", "ext-v"),
        ("serving_environment", "ext-e"),
        ("inference_service", "ext-s"),
        ("experiment", "ext-x"),
        ("experiment_run", "ext-r"),
        ("artifact", "ext-a"),
        ("model_artifact", "ext-a"),
    ] {
        let found = registry.read(&format!("{path}?externalId={external_id}")).await;
        assert_eq!(found["externalId"], external_id, "{path}");
        registry.get(&format!("{path}?externalId=nonsense")).await.is_not_found();
    }
    registry.get("registered_model?externalId=ext-v").await.is_not_found();
}

pub(crate) async fn too_little_to_find_by_is_refused(registry: &Registry) {
    for path in ["registered_model", "serving_environment", "experiment"] {
        registry.get(path).await.is_bad();
        registry.get(&format!("{path}?name=&externalId=")).await.is_bad();
        registry.get(&format!("{path}?parentResourceId=1")).await.is_bad();
    }
    for path in ["model_version", "inference_service", "experiment_run", "artifact", "model_artifact"] {
        registry.get(path).await.is_bad();
        registry.get(&format!("{path}?name=n")).await.is_bad();
        registry.get(&format!("{path}?parentResourceId=1")).await.is_bad();
        registry.get(&format!("{path}?name=n&parentResourceId=x")).await.is_bad();
    }
}

pub(crate) async fn what_is_not_there_is_not_found(registry: &Registry) {
    for path in ["registered_model", "serving_environment", "experiment"] {
        registry.get(&format!("{path}?name=nobody")).await.is_not_found();
    }
    for path in ["model_version", "inference_service", "experiment_run", "artifact", "model_artifact"] {
        registry.get(&format!("{path}?name=nobody&parentResourceId=1")).await.is_not_found();
    }
    registry.model("Case").await;
    registry.get("registered_model?name=case").await.is_not_found();
}
