//! The REST answers: shapes, paging, errors and edits as the registry's API has them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use sample_registry::{Kind, SampleRegistry};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

const API: &str = "api/model_registry/v1alpha3";

struct Served {
    registry: SampleRegistry,
    base: String,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn start() -> Self {
        let registry = SampleRegistry::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = registry.clone();
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            served.serve(listener, shutdown).await
        });
        Self { registry, base, stop, task }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.request(reqwest::Method::GET, path).await
    }

    async fn request(&self, method: reqwest::Method, path: &str) -> (u16, Value) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.request(method, format!("{}/{path}", self.base)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_record_has_the_api_s_fields() {
    let served = Served::start().await;
    served.registry.set_clock(999);
    let model = served.registry.create_model("granite", json!({"properties": {"License": "mit", "layers": 40}}));
    let version = served.registry.create_version(&model, "v1", json!({}));
    let (status, list) = served.get(&format!("{API}/registered_models?pageSize=5")).await;
    assert_eq!(status, 200);
    let expected = json!({
        "items": [{
            "id": "1", "name": "granite", "state": "LIVE",
            "createTimeSinceEpoch": "1000", "lastUpdateTimeSinceEpoch": "1000",
            "customProperties": {
                "License": {"metadataType": "MetadataStringValue", "string_value": "mit"},
                "layers": {"metadataType": "MetadataIntValue", "int_value": "40"},
            },
        }],
        "nextPageToken": "", "pageSize": 5, "size": 1,
    });
    assert_eq!(list, expected);
    let (_, version) = served.get(&format!("{API}/model_versions/{version}")).await;
    assert_eq!(version["registeredModelId"], "1");
    assert_eq!(version["id"], "2");
}

#[tokio::test]
async fn the_newest_update_comes_first_when_asked() {
    let served = Served::start().await;
    served.registry.set_clock_step(0);
    for name in ["a", "b", "c", "d"] {
        served.registry.create_model(name, json!({}));
    }
    served.registry.archive_model("2").unwrap();
    let path = format!("{API}/registered_models?orderBy=LAST_UPDATE_TIME&sortOrder=DESC&pageSize=2");
    let (_, first) = served.get(&path).await;
    assert_eq!(ids(&first), ["2", "4"], "equal times are ordered by id");
    let token = first["nextPageToken"].as_str().unwrap();
    let (_, second) = served.get(&format!("{path}&nextPageToken={token}")).await;
    assert_eq!(ids(&second), ["3", "1"]);
    assert_eq!(second["nextPageToken"], "");
}

#[tokio::test]
async fn an_update_moves_its_time_forward_even_when_the_clock_goes_back() {
    let registry = SampleRegistry::new();
    let id = registry.create_model("granite", json!({"properties": {"a": "1"}}));
    let time = |registry: &SampleRegistry| -> i64 {
        let model = registry.get(Kind::RegisteredModel, &id).unwrap();
        model["lastUpdateTimeSinceEpoch"].as_str().unwrap().parse().unwrap()
    };
    let before = time(&registry);
    registry.set_clock(5);
    registry.update_model(&id, json!({"properties": {"b": "2"}, "state": null})).unwrap();
    assert!(time(&registry) > before);
    let model = registry.get(Kind::RegisteredModel, &id).unwrap();
    assert_eq!(model["customProperties"].as_object().unwrap().len(), 1);
    assert_eq!(model.get("state"), None);
    assert!(registry.update_model("77", json!({})).is_err());
}

#[tokio::test]
async fn errors_have_code_and_message() {
    let served = Served::start().await;
    for (path, status, code) in [
        ("registered_models/1", 404, "Not Found"),
        ("registered_models/x", 400, "Bad Request"),
        ("registered_models?pageSize=x", 400, "Bad Request"),
        ("registered_models?nextPageToken=x", 400, "Bad Request"),
        ("nothing", 404, "Not Found"),
    ] {
        let (got, body) = served.get(&format!("{API}/{path}")).await;
        assert_eq!(got, status, "{path}");
        assert_eq!(body["code"], code, "{path}");
        assert!(body["message"].is_string(), "{path}");
    }
    let (status, body) = served.request(reqwest::Method::DELETE, &format!("{API}/registered_models")).await;
    assert_eq!((status, &body["code"]), (405, &json!("Method Not Allowed")));
}

#[tokio::test]
async fn catalog_names_may_hold_slashes_raw_or_encoded() {
    let served = Served::start().await;
    served.registry.put_catalog_model("hub", "group/model", "# Card", json!({}));
    for name in ["group/model", "group%2Fmodel"] {
        let (status, model) = served.get(&format!("api/model_catalog/v1alpha1/sources/hub/models/{name}")).await;
        assert_eq!(status, 200, "{name}");
        assert_eq!(model["readme"], "# Card");
    }
    for number in 0..11 {
        served.registry.put_catalog_model("hub", &format!("m{number:02}"), "", json!({}));
    }
    let (_, page) = served.get("api/model_catalog/v1alpha1/models").await;
    assert_eq!(page["size"], 10);
    let token = page["nextPageToken"].as_str().unwrap();
    let (_, rest) = served.get(&format!("api/model_catalog/v1alpha1/models?nextPageToken={token}")).await;
    assert_eq!(rest["size"], 2);
    assert_eq!(rest["nextPageToken"], "");
}

#[tokio::test]
async fn a_token_is_asked_for_and_serving_ends_when_told() {
    let served = Served::start().await;
    served.registry.set_token(Some("secret"));
    let (status, body) = served.get(&format!("{API}/registered_models")).await;
    assert_eq!((status, &body["code"]), (401, &json!("Unauthorized")));
    served.stop.send(()).unwrap();
    served.task.await.unwrap().unwrap();
}
