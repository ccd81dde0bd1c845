//! Names and external ids: which there have to be, which may be, and which are taken.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::registry::{Registry, id, text};

pub(crate) async fn a_name_is_unique_among_its_kind_and_parent(registry: &Registry) {
    let (one, other) = (registry.model("one").await, registry.model("other").await);
    registry.post("registered_models", &json!({"name": "one"})).await.is_conflict();
    registry.version(&one, "v").await;
    registry.version(&other, "v").await;
    registry.post("model_versions", &json!({"name": "v", "registeredModelId": one})).await.is_conflict();
    let beneath = format!("registered_models/{one}/versions");
    registry.post(&beneath, &json!({"name": "v", "registeredModelId": one})).await.is_conflict();
    // Another kind may use it.
    let environment = registry.environment("one").await;
    registry.post("serving_environments", &json!({"name": "one"})).await.is_conflict();
    let service = json!({"name": "s", "servingEnvironmentId": environment, "registeredModelId": one});
    registry.create("inference_services", service.clone()).await;
    registry.post("inference_services", &service).await.is_conflict();
    let experiment = registry.experiment("one").await;
    registry.post("experiments", &json!({"name": "one"})).await.is_conflict();
    registry.create("experiment_runs", json!({"name": "r", "experimentId": experiment})).await;
    registry.post("experiment_runs", &json!({"name": "r", "experimentId": experiment})).await.is_conflict();
    registry.create("artifacts", json!({"artifactType": "doc-artifact", "name": "one"})).await;
    registry.post("artifacts", &json!({"artifactType": "doc-artifact", "name": "one"})).await.is_conflict();
}

pub(crate) async fn an_external_id_is_unique_across_kinds(registry: &Registry) {
    let model = registry.create("registered_models", json!({"name": "m", "externalId": "ext"})).await;
    assert_eq!(model["externalId"], "ext");
    registry.post("registered_models", &json!({"name": "n", "externalId": "ext"})).await.is_conflict();
    let version =
        |external_id: &str| json!({"name": external_id, "registeredModelId": id(&model), "externalId": external_id});
    registry.post("model_versions", &version("ext")).await.is_conflict();
    registry.post("serving_environments", &json!({"name": "e", "externalId": "ext"})).await.is_conflict();
    registry.post("experiments", &json!({"name": "e", "externalId": "ext"})).await.is_conflict();
    // Artifacts have theirs for themselves.
    registry.create("artifacts", json!({"artifactType": "doc-artifact", "externalId": "ext"})).await;
    registry.post("artifacts", &json!({"artifactType": "metric", "externalId": "ext"})).await.is_conflict();
    let other = registry.create("model_versions", version("other")).await;
    registry.patch(&format!("model_versions/{}", id(&other)), &json!({"externalId": "ext"})).await.is_conflict();
    assert_eq!(registry.read(&format!("model_versions/{}", id(&other))).await, other, "nothing of it was changed");
    registry.update(&format!("model_versions/{}", id(&other)), json!({"externalId": "other"})).await;
    // Nothing is not taken.
    registry.create("registered_models", json!({"name": "o", "externalId": ""})).await;
    registry.create("registered_models", json!({"name": "p", "externalId": ""})).await;
}

pub(crate) async fn names_are_told_apart_by_every_character(registry: &Registry) {
    let names = [
        "a",
        "A",
        "ä",
        "Ä",
        "a ",
        " a",
        "a\u{301}",
        "á",
        "ß",
        "ss",
        "日本語",
        "😀",
        "a%b",
        "a_b",
        "a/b",
        "a'b",
        "a\\b",
    ];
    let mut ids = Vec::new();
    for name in names {
        ids.push(registry.model(name).await);
    }
    for (name, id) in names.iter().zip(&ids) {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish();
        let found = registry.read(&format!("registered_model?{query}")).await;
        assert_eq!((&found["name"], &found["id"]), (&json!(name), &json!(id)));
        registry.post("registered_models", &json!({"name": name})).await.is_conflict();
        let external = json!({"name": format!("external {name}"), "externalId": name});
        registry.create("registered_models", external).await;
    }
}

pub(crate) async fn names_have_at_most_255_characters_with_their_parents_id(registry: &Registry) {
    let longest = "ä".repeat(255);
    let model = registry.model(&longest).await;
    assert_eq!(registry.read(&format!("registered_models/{model}")).await["name"], longest);
    registry.post("registered_models", &json!({"name": "x".repeat(256)})).await.is_bad();
    // Children are stored elsewhere as `<id>:<name>`.
    let room = 255 - model.len() - 1;
    registry.version(&model, &"x".repeat(room)).await;
    let too_long = json!({"name": "x".repeat(room + 1), "registeredModelId": model});
    registry.post("model_versions", &too_long).await.is_bad();
    registry.post("registered_models", &json!({"name": "e", "externalId": "x".repeat(256)})).await.is_bad();
    let external = "ä".repeat(255);
    let made = registry.create("registered_models", json!({"name": "e", "externalId": external})).await;
    assert_eq!(made["externalId"], external);
}

pub(crate) async fn omitted_names_become_uuids(registry: &Registry) {
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let environment = registry.environment("e").await;
    let service = registry.service(&environment, &model).await;
    let experiment = registry.experiment("x").await;
    let of_version = format!("model_versions/{version}/artifacts");
    let requests = [
        ("artifacts".to_owned(), json!({"artifactType": "dataset-artifact"})),
        ("artifacts".to_owned(), json!({"artifactType": "doc-artifact", "name": null})),
        ("model_artifacts".to_owned(), json!({})),
        (of_version, json!({"artifactType": "model-artifact"})),
        ("inference_services".to_owned(), json!({"servingEnvironmentId": environment, "registeredModelId": model})),
        (format!("inference_services/{service}/serves"), json!({"modelVersionId": version})),
        ("experiment_runs".to_owned(), json!({"experimentId": experiment})),
    ];
    let mut names = BTreeSet::new();
    for (path, body) in requests {
        let made = registry.create(&path, body).await;
        let name = text(&made, "name");
        let parts: Vec<usize> = name.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{path}: {name}");
        names.insert(name);
    }
    assert_eq!(names.len(), 7);
}

pub(crate) async fn some_kinds_have_to_be_named(registry: &Registry) {
    let model = registry.model("m").await;
    for (path, body) in [
        ("registered_models", json!({})),
        ("model_versions", json!({"registeredModelId": model})),
        ("serving_environments", json!({})),
        ("experiments", json!({})),
    ] {
        let answer = registry.post(path, &body).await;
        assert_eq!(answer.error(422, "Bad Request"), "required field 'name' is zero value.", "{path}");
    }
}

pub(crate) async fn of_many_who_want_a_name_one_gets_it(registry: &Registry) {
    for round in 0..3 {
        let body = json!({"name": format!("wanted {round}")});
        let answers = futures::future::join_all((0..8).map(|_| registry.post("registered_models", &body))).await;
        let made: Vec<&Value> =
            answers.iter().filter(|answer| answer.status == 201).map(|answer| &answer.body).collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        answers.iter().filter(|answer| answer.status != 201).for_each(|answer| answer.is_conflict());
        let found = registry.read(&format!("registered_model?name=wanted+{round}")).await;
        assert_eq!(&found, made[0]);
    }
}
