//! `filterQuery`, as far as it can be seen from outside.

use serde_json::{Value, json};

use crate::registry::{Registry, id, property, text};

fn with_filter(path: &str, filter: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!(
        "{path}{sign}{}",
        url::form_urlencoded::Serializer::new(String::new()).append_pair("filterQuery", filter).finish()
    )
}

/// The names of the registered models for which that holds.
async fn names(registry: &Registry, filter: &str) -> Vec<String> {
    registry.names(&with_filter("registered_models", filter)).await
}

async fn models(registry: &Registry) {
    for (name, owner, size, ratio, ready) in
        [("alpha", "ann", 1, 0.5, true), ("Beta", "bob", 20, 1.5, false), ("gamma_1", "ann", 300, -2.0, true)]
    {
        let properties = json!({
            "team": property(name),
            "size": {"metadataType": "MetadataIntValue", "int_value": size.to_string()},
            "ratio": {"metadataType": "MetadataDoubleValue", "double_value": ratio},
            "ready": {"metadataType": "MetadataBoolValue", "bool_value": ready},
            "with space": property("x"),
        });
        let body = json!({"name": name, "owner": owner, "customProperties": properties});
        registry.create("registered_models", body).await;
    }
}

pub(crate) async fn known_fields_are_looked_for_by_name(registry: &Registry) {
    models(registry).await;
    let beta = registry.read("registered_model?name=Beta").await;
    registry.update(&format!("registered_models/{}", id(&beta)), json!({"state": "ARCHIVED"})).await;
    assert_eq!(names(registry, "name = 'alpha'").await, ["alpha"]);
    assert_eq!(names(registry, "name != 'alpha'").await, ["Beta", "gamma_1"]);
    assert_eq!(names(registry, "name <> 'alpha'").await, ["Beta", "gamma_1"]);
    assert_eq!(names(registry, "name LIKE '%a'").await, ["alpha", "Beta"]);
    assert_eq!(names(registry, "name LIKE 'b%'").await, Vec::<String>::new());
    assert_eq!(names(registry, "name ILIKE 'b%'").await, ["Beta"]);
    assert_eq!(names(registry, "name IN ('alpha', 'gamma_1', 'delta')").await, ["alpha", "gamma_1"]);
    assert_eq!(names(registry, "owner = \"ann\"").await, ["alpha", "gamma_1"]);
    assert_eq!(names(registry, "state = 'ARCHIVED'").await, ["Beta"]);
    assert_eq!(names(registry, &format!("id = {}", id(&beta))).await, ["Beta"]);
    let created = text(&beta, "createTimeSinceEpoch");
    assert_eq!(names(registry, &format!("createTimeSinceEpoch >= {created} and name = 'Beta'")).await, ["Beta"]);
    assert_eq!(names(registry, "").await.len(), 3, "a filter that says nothing lets everything through");
}

pub(crate) async fn or_binds_less_than_and(registry: &Registry) {
    models(registry).await;
    let all = "name = 'Beta' OR owner = 'ann' AND name = 'alpha'";
    assert_eq!(names(registry, all).await, ["alpha", "Beta"]);
    assert_eq!(names(registry, "(name = 'Beta' or owner = 'ann') aNd name = 'alpha'").await, ["alpha"]);
}

pub(crate) async fn custom_properties_are_looked_for_by_name_and_type(registry: &Registry) {
    models(registry).await;
    assert_eq!(names(registry, "team = 'alpha'").await, ["alpha"]);
    assert_eq!(names(registry, "size > 1").await, ["Beta", "gamma_1"]);
    assert_eq!(names(registry, "size.int_value <= 20").await, ["alpha", "Beta"]);
    assert_eq!(names(registry, "ratio < 1.0").await, ["alpha", "gamma_1"]);
    assert_eq!(names(registry, "ratio.double_value = -2.0").await, ["gamma_1"]);
    assert_eq!(names(registry, "ready = true").await, ["alpha", "gamma_1"]);
    assert_eq!(names(registry, "ready.bool_value = false").await, ["Beta"]);
    assert_eq!(names(registry, "`with space`.string_value = 'x' AND team LIKE 'gamma%'").await, ["gamma_1"]);
    assert_eq!(names(registry, "nobody = 'x'").await, Vec::<String>::new());
}

pub(crate) async fn a_filter_that_is_wrong_says_where(registry: &Registry) {
    for path in ["registered_models", "artifacts", "experiment_runs/metric_history", "experiments"] {
        for wrong in ["name =", "= 'a'", "name = 'a' AND", "(name = 'a'", "name = 'a", "NOT name = 'a'", "name ~ 'a'"] {
            let answer = registry.get(&with_filter(path, wrong)).await;
            answer.is_bad();
            let message = text(&answer.body, "message");
            assert!(message.contains(|character: char| character.is_ascii_digit()), "{wrong}: {message}");
        }
    }
}

pub(crate) async fn attempts_to_inject_are_ordinary_texts(registry: &Registry) {
    let hostile = ["'; DROP TABLE resource; --", "' OR '1'='1", "\" OR 1=1 --", "a\\", "%", "_", "${jndi}", "*/ x /*"];
    for name in hostile {
        registry.model(name).await;
    }
    for name in hostile {
        let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
        assert_eq!(names(registry, &format!("name = '{quoted}'")).await, [name]);
        let by_name = url::form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish();
        assert_eq!(registry.read(&format!("registered_model?{by_name}")).await["name"], name);
    }
    registry.get(&with_filter("registered_models", "name = 'a'; DROP TABLE resource")).await.is_bad();
    let property = "`x' OR '1'='1` = 'a'";
    assert_eq!(names(registry, property).await, Vec::<String>::new());
    assert_eq!(registry.items("registered_models").await.len(), hostile.len());
}

pub(crate) async fn a_filter_and_pages_go_together(registry: &Registry) {
    for index in 0..9 {
        let owner = if index % 2 == 0 { "even" } else { "odd" };
        registry.create("registered_models", json!({"name": format!("m{index}"), "owner": owner})).await;
    }
    let path = with_filter("registered_models?pageSize=2&orderBy=CREATE_TIME", "owner = 'even'");
    let mut found: Vec<String> = Vec::new();
    let mut next = String::new();
    loop {
        let page = registry.read(&format!("{path}&nextPageToken={next}")).await;
        found.extend(page["items"].as_array().unwrap().iter().map(|item| text(item, "name")));
        next = text(&page, "nextPageToken");
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["m0", "m2", "m4", "m6", "m8"]);
}

pub(crate) async fn a_filter_holds_for_children_of_one_parent(registry: &Registry) {
    let (one, other) = (registry.model("one").await, registry.model("other").await);
    for model in [&one, &other] {
        for author in ["ann", "bob"] {
            let body = json!({"name": author, "author": author, "registeredModelId": model});
            registry.create("model_versions", body).await;
        }
    }
    let found = registry.items(&with_filter(&format!("registered_models/{one}/versions"), "author = 'ann'")).await;
    let parents: Vec<&Value> = found.iter().map(|item| &item["registeredModelId"]).collect();
    assert_eq!(parents, [&json!(one)]);
    assert_eq!(registry.items(&with_filter("model_versions", "author = 'ann'")).await.len(), 2);
}

pub(crate) async fn runs_are_named_by_texts_or_numbers(registry: &Registry) {
    let experiment = registry.experiment("x").await;
    let mut runs = Vec::new();
    for index in 0..3 {
        let run = registry.run(&experiment).await;
        let metric =
            json!({"artifactType": "metric", "name": format!("metric {index}"), "value": index, "step": index});
        registry.post(&format!("experiment_runs/{run}/artifacts"), &metric).await.ok(200);
        runs.push(run);
    }
    for path in ["artifacts", "experiment_runs/metric_history"] {
        let texts = format!("experimentRunId IN ('{}','{}')", runs[0], runs[2]);
        assert_eq!(registry.names(&with_filter(path, &texts)).await, ["metric 0", "metric 2"], "{path}");
        let numbers = format!("experimentRunId IN ({},{})", runs[0], runs[1]);
        assert_eq!(registry.names(&with_filter(path, &numbers)).await, ["metric 0", "metric 1"], "{path}");
        let one = format!("experimentRunId = '{}'", runs[1]);
        assert_eq!(registry.names(&with_filter(path, &one)).await, ["metric 1"], "{path}");
    }
}
