//! Moving in from another registry.

use std::collections::BTreeMap;
use std::time::Duration;

use bearer::Token;
use model_registry::import::{ImportError, Imported, Rules, Source, import};
use model_registry::model::Kind;
use registry_client::Patience;
use reqwest::Url;
use serde_json::{Value, json};
use service::http_client::{TlsSettings, client};
use testkit::registry::ScriptedRegistry;

use crate::registry::{Registry, id, property, text};

/// The registry at that address, read without long waits.
pub(crate) async fn source(url: Url, token: Option<&'static str>) -> Source {
    let http = client(&TlsSettings::default(), "the registry").unwrap();
    let patience =
        Patience { attempts: 4, first_wait: Duration::from_millis(1), longest_wait: Duration::from_millis(5) };
    Source::with_patience(url, http, Token::from(token.map(Into::into)), patience).await.unwrap()
}

/// Imports, and answers what was done and the lines of the map of ids: kind, id there, id here.
pub(crate) async fn import_into(
    registry: &Registry,
    url: Url,
    rules: Rules,
) -> Result<(Imported, Vec<(String, String, String)>), ImportError> {
    let mut map = Vec::new();
    let imported = import(&source(url, None).await, &registry.database(), rules, Some(&mut map)).await?;
    let lines = String::from_utf8(map).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Ok((imported, lines.map(|line| (text(&line, "kind"), text(&line, "from"), text(&line, "to"))).collect()))
}

/// Resources of all kinds, with whatever they may have.
async fn furnish(registry: &Registry) {
    let properties = json!({
        "text": property("a"), "whole": {"metadataType": "MetadataIntValue", "int_value": "-7"},
        "part": {"metadataType": "MetadataDoubleValue", "double_value": 0.5},
        "truth": {"metadataType": "MetadataBoolValue", "bool_value": true},
        "structure": {"metadataType": "MetadataStructValue", "struct_value": "eyJhIjpbMV19"},
    });
    let model = registry
        .create(
            "registered_models",
            json!({
                "name": "iris", "externalId": "model-1", "description": "", "owner": "me", "language": ["de", "en"], "tasks": [],
                "license": "mit", "state": "ARCHIVED", "customProperties": properties,
            }),
        )
        .await;
    let model = id(&model);
    let (one, two) = (registry.version(&model, "1").await, registry.version(&model, "2").await);
    registry.update(&format!("model_versions/{one}"), json!({"author": "a", "state": "ARCHIVED"})).await;
    let of_version = |version: &str| format!("model_versions/{version}/artifacts");
    for artifact in [
        json!({"artifactType": "model-artifact", "name": "m", "uri": "s3://a/b", "modelFormatName": "onnx", "state": "LIVE"}),
        json!({"artifactType": "doc-artifact", "name": "m", "externalId": "doc-1", "customProperties": properties}),
        json!({"artifactType": "dataset-artifact", "name": "d", "digest": "x", "schema": "s"}),
    ] {
        registry.post(&of_version(&one), &artifact).await;
    }
    let shared = id(&registry.items(&of_version(&one)).await[0]);
    let again = json!({"artifactType": "model-artifact", "id": shared});
    registry.post(&of_version(&two), &again).await.ok(200);
    registry.create("model_artifacts", json!({"name": "of nothing"})).await;
    let environment = registry.environment("team").await;
    let service = registry.service(&environment, &model).await;
    registry.update(&format!("inference_services/{service}"), json!({"modelVersionId": one, "runtime": "r"})).await;
    let serve = json!({"modelVersionId": two, "name": "s", "lastKnownState": "RUNNING"});
    registry.create(&format!("inference_services/{service}/serves"), serve).await;
    let run = registry.run(&registry.experiment("e").await).await;
    for (name, value, step) in [("loss", 2.0, 1), ("loss", 1.5, 2), ("accuracy", 0.25, 1)] {
        let metric = json!({"artifactType": "metric", "name": name, "value": value, "step": step, "timestamp": "5"});
        registry.post(&format!("experiment_runs/{run}/artifacts"), &metric).await;
    }
    let parameter = json!({"artifactType": "parameter", "name": "rate", "value": "1", "parameterType": "number"});
    registry.post(&format!("experiment_runs/{run}/artifacts"), &parameter).await;
}

/// Everything that a registry shows, by the path where it does.
async fn everything(registry: &Registry) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for (list, beneath) in [
        ("registered_models", &["versions"][..]),
        ("model_versions", &["artifacts"]),
        ("artifacts", &[]),
        ("serving_environments", &["inference_services"]),
        ("inference_services", &["serves", "version"]),
        ("experiments", &["experiment_runs"]),
        ("experiment_runs", &["artifacts", "metric_history"]),
    ] {
        let items = registry.items(list).await;
        for path in items.iter().flat_map(|item| beneath.iter().map(move |of| format!("{list}/{}/{of}", id(item)))) {
            let shown = registry.read(&path).await;
            let mut shown = shown["items"].as_array().cloned().unwrap_or_else(|| vec![shown.clone()]);
            if path.ends_with("metric_history") {
                // These have ids of their own in each registry.
                for item in &mut shown {
                    item.as_object_mut().unwrap().remove("id");
                }
            }
            all.insert(path, shown);
        }
        all.insert(list.to_owned(), items);
    }
    all
}

pub(crate) async fn everything_moves_in_from_a_registry_of_ours(registry: &Registry) {
    let from = Registry::in_sqlite().await;
    furnish(&from).await;
    let (imported, ids) = import_into(registry, from.url(), Rules::default()).await.unwrap();
    let (there, here) = (everything(&from).await, everything(registry).await);
    assert_eq!(here, there);
    assert!(there.values().all(|list| !list.is_empty()), "{there:#?}");
    assert_eq!((imported.links, imported.history), (7, 3));
    assert_eq!((imported.renumbered, imported.left_out, imported.unknown.len()), (0, 0, 0));
    assert_eq!(imported.resources[&Kind::ModelVersion], 2);
    assert_eq!((imported.total(), ids.len()), (15, 15));
    assert!(ids.iter().all(|(_, from, to)| from == to), "{ids:?}");
}

pub(crate) async fn ids_that_two_resources_have_are_given_out_anew(registry: &Registry) {
    let from = ScriptedRegistry::start().await;
    let edit = from.edit();
    let model = edit.create_model("iris", json!({}));
    let version = edit.create_version(&model, "1", json!({}));
    edit.create_artifact(&version, "a", json!({"uri": "s3://a"}));
    let environment = edit.create_serving_environment("team", json!({}));
    let service = json!({"registeredModelId": model, "modelVersionId": version});
    edit.create_inference_service(&environment, "served", service);
    let (imported, ids) = import_into(registry, from.url(), Rules::default()).await.unwrap();
    let ids: Vec<_> = ids.iter().map(|(kind, from, to)| (kind.as_str(), from.as_str(), to.as_str())).collect();
    let expected = [
        ("RegisteredModel", "1", "1"),
        ("ModelVersion", "2", "2"),
        ("ServingEnvironment", "3", "3"),
        ("InferenceService", "1", "4"),
        ("ModelArtifact", "1", "5"),
    ];
    assert_eq!(ids, expected);
    assert_eq!(imported.renumbered, 2);
    let served = &registry.items("serving_environments/3/inference_services").await[0];
    assert_eq!(
        (id(served), text(served, "registeredModelId"), text(served, "modelVersionId")),
        ("4".into(), model, version)
    );
    assert_eq!(id(&registry.items("model_versions/2/artifacts").await[0]), "5");
}

pub(crate) async fn the_registry_goes_on_after_what_moved_in(registry: &Registry) {
    let from = ScriptedRegistry::start().await;
    for name in ["a", "b", "c"] {
        from.edit().create_model(name, json!({}));
    }
    import_into(registry, from.url(), Rules::default()).await.unwrap();
    assert_eq!(registry.model("d").await, "4");
    let changes = registry.read("changes?since=0").await["items"].as_array().unwrap().clone();
    let changes: Vec<_> = changes.iter().map(|change| (&change["seq"], &change["id"], &change["actor"])).collect();
    let actor = json!(format!("import from {}api/model_registry/v1alpha3", from.url()));
    let of = |number: u32| (json!(number.to_string()), json!(number.to_string()));
    for (number, change) in (1..=4).zip(&changes) {
        assert_eq!((change.0.clone(), change.1.clone()), of(number), "{changes:?}");
        assert_eq!(change.2, if number < 4 { &actor } else { &Value::Null }, "{changes:?}");
    }
}
