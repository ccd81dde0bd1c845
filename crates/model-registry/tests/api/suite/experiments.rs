//! Experiments, their runs, and what was measured in them.

use serde_json::{Value, json};

use crate::registry::{Registry, id, text};

pub(crate) async fn a_run_needs_its_experiment(registry: &Registry) {
    registry.post("experiment_runs", &json!({"experimentId": "999"})).await.is_not_found();
    registry.post("experiments/999/experiment_runs", &json!({"experimentId": "999"})).await.is_not_found();
    let experiment = registry.experiment("x").await;
    let beneath = format!("experiments/{experiment}/experiment_runs");
    let one = registry.create("experiment_runs", json!({"experimentId": experiment, "name": "1"})).await;
    let other = registry.create(&beneath, json!({"experimentId": experiment, "name": "2"})).await;
    assert_eq!((&one["experimentId"], &other["experimentId"]), (&json!(experiment), &json!(experiment)));
    assert_eq!(registry.items(&beneath).await, [one, other]);
    registry.post(&beneath, &json!({"experimentId": "998"})).await.is_bad();
}

pub(crate) async fn a_run_starts_with_what_it_is_given(registry: &Registry) {
    let experiment = registry.experiment("x").await;
    let body = json!({
        "experimentId": experiment, "name": "r", "startTimeSinceEpoch": "1700000000000", "endTimeSinceEpoch": "1700000000001",
        "status": "SCHEDULED", "owner": "o", "state": "ARCHIVED", "description": "d",
    });
    let made = registry.create("experiment_runs", body.clone()).await;
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    let plain = registry.create("experiment_runs", json!({"experimentId": experiment})).await;
    assert_eq!((&plain["status"], &plain["state"]), (&json!("RUNNING"), &json!("LIVE")));
    assert_eq!(plain["customProperties"], json!({}));
    let path = format!("experiment_runs/{}", id(&plain));
    let answer = registry.patch(&path, &json!({"startTimeSinceEpoch": "1"})).await;
    assert_eq!(answer.error(400, "Bad Request"), r#"json: unknown field "startTimeSinceEpoch""#);
    assert_eq!(registry.update(&path, json!({"status": "FAILED"})).await["status"], "FAILED");
}

pub(crate) async fn runs_of_experiments_are_told_apart(registry: &Registry) {
    let (one, other) = (registry.experiment("x").await, registry.experiment("y").await);
    let run = registry.create("experiment_runs", json!({"experimentId": one, "name": "same"})).await;
    registry.create("experiment_runs", json!({"experimentId": other, "name": "same"})).await;
    assert_eq!(registry.items(&format!("experiments/{one}/experiment_runs")).await, std::slice::from_ref(&run));
    assert_eq!(registry.items("experiment_runs").await.len(), 2);
    assert_eq!(registry.read(&format!("experiment_run?name=same&parentResourceId={one}")).await, run);
}

pub(crate) async fn artifacts_of_a_run_name_it(registry: &Registry) {
    let experiment = registry.experiment("x").await;
    let run = registry.run(&experiment).await;
    let path = format!("experiment_runs/{run}/artifacts");
    let made = registry.create(&path, json!({"artifactType": "model-artifact", "name": "a"})).await;
    assert_eq!((&made["experimentId"], &made["experimentRunId"]), (&json!(experiment), &json!(run)));
    assert_eq!(registry.read(&format!("artifacts/{}", id(&made))).await, made);
    assert_eq!(registry.items(&path).await, [made]);
    let alone = registry.create("artifacts", json!({"artifactType": "doc-artifact"})).await;
    assert!(alone.get("experimentId").is_none() && alone.get("experimentRunId").is_none());
}

async fn measure(registry: &Registry, run: &str, name: &str, step: i64, value: f64) -> Value {
    let body =
        json!({"artifactType": "metric", "name": name, "value": value, "step": step, "timestamp": step.to_string()});
    registry.post(&format!("experiment_runs/{run}/artifacts"), &body).await.ok(200)
}

fn values(items: &[Value]) -> Vec<(String, f64, i64)> {
    let value = |item: &Value| (text(item, "name"), item["value"].as_f64().unwrap(), item["step"].as_i64().unwrap());
    items.iter().map(value).collect()
}

fn row(name: &str, value: f64, step: i64) -> (String, f64, i64) {
    (name.to_owned(), value, step)
}

pub(crate) async fn metrics_of_a_run_are_kept_over_time(registry: &Registry) {
    let experiment = registry.experiment("x").await;
    let (run, other) = (registry.run(&experiment).await, registry.run(&experiment).await);
    let first = measure(registry, &run, "loss", 1, 0.5).await;
    let second = measure(registry, &run, "loss", 2, 0.25).await;
    assert_eq!(id(&first), id(&second), "it is the same metric");
    measure(registry, &run, "accuracy", 1, 0.9).await;
    measure(registry, &other, "loss", 1, 0.7).await;
    let path = format!("experiment_runs/{run}/metric_history");
    let items = registry.items(&path).await;
    assert_eq!(values(&items), [row("loss", 0.5, 1), row("loss", 0.25, 2), row("accuracy", 0.9, 1)]);
    for item in &items {
        assert_eq!((&item["artifactType"], &item["experimentRunId"]), (&json!("metric"), &json!(run)), "{item}");
        assert_eq!(item["timestamp"], item["step"].to_string());
        assert!(item["customProperties"].is_object() && item["state"].is_string() && item["id"].is_string(), "{item}");
    }
    let listed = registry.items(&format!("experiment_runs/{run}/artifacts?artifactType=metric")).await;
    assert_eq!(values(&listed), [row("loss", 0.25, 2), row("accuracy", 0.9, 1)], "the list has what is current");
    assert_eq!(registry.items("experiment_runs/metric_history").await.len(), 4);
    // What is measured of a version is no history.
    let model = registry.model("m").await;
    let version = registry.version(&model, "v").await;
    let metric = json!({"artifactType": "metric", "name": "loss", "value": 1});
    registry.post(&format!("model_versions/{version}/artifacts"), &metric).await.ok(200);
    assert_eq!(registry.items("experiment_runs/metric_history").await.len(), 4);
}

pub(crate) async fn the_history_is_listed_in_parts(registry: &Registry) {
    let experiment = registry.experiment("x").await;
    let (run, other) = (registry.run(&experiment).await, registry.run(&experiment).await);
    for step in 1..=4_i32 {
        measure(registry, &run, "loss", i64::from(step), f64::from(step)).await;
        measure(registry, &other, "accuracy", i64::from(step), f64::from(step)).await;
    }
    for (path, loss) in
        [(format!("experiment_runs/{run}/metric_history"), 4), ("experiment_runs/metric_history".to_owned(), 4)]
    {
        assert_eq!(registry.items(&format!("{path}?name=loss")).await.len(), loss);
        assert_eq!(registry.items(&format!("{path}?name=nothing")).await.len(), 0);
        let steps = values(&registry.items(&format!("{path}?name=loss&stepIds=2,4")).await);
        assert_eq!(steps, [row("loss", 2.0, 2), row("loss", 4.0, 4)]);
        registry.get(&format!("{path}?stepIds=x")).await.is_bad();
        registry.get(&format!("{path}?stepIds=1,,2")).await.is_bad();
        registry.get(&format!("{path}?pageSize=x")).await.is_bad();
        registry.get(&format!("{path}?nextPageToken=x")).await.is_bad();
        let page = registry.read(&format!("{path}?name=loss&pageSize=3")).await;
        assert_eq!((&page["size"], &page["pageSize"]), (&json!(3), &json!(3)));
        let token = text(&page, "nextPageToken");
        let rest = registry.read(&format!("{path}?name=loss&pageSize=3&nextPageToken={token}")).await;
        assert_eq!(values(rest["items"].as_array().unwrap()), [row("loss", 4.0, 4)]);
        assert_eq!(rest["nextPageToken"], "");
        let last = registry.items(&format!("{path}?name=loss&sortOrder=DESC&pageSize=1")).await;
        assert_eq!(values(&last), [row("loss", 4.0, 4)]);
    }
}

pub(crate) async fn what_is_not_there_has_no_runs_and_no_history(registry: &Registry) {
    let experiment = registry.experiment("x").await;
    registry.get("experiments/999/experiment_runs").await.is_not_found();
    registry.get("experiment_runs/999/metric_history").await.is_not_found();
    registry.get(&format!("experiment_runs/{experiment}/metric_history")).await.is_not_found();
    let run = registry.run(&experiment).await;
    assert_eq!(registry.items(&format!("experiment_runs/{run}/metric_history")).await, Vec::<Value>::new());
}
