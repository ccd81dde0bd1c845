use std::fs;
use std::path::PathBuf;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use service::Shutdown;
use tempfile::TempDir;
use testkit::eventually;
use tower::ServiceExt as _;

use super::{Catalog, router};

const SOON: std::time::Duration = std::time::Duration::from_secs(30);
const SOURCES: &str = "
catalogs:
  - {id: ours, name: Ours, type: yaml, labels: [internal], properties: {yamlCatalogPath: models.yaml},
     excludedModels: ['*-draft']}
  - {id: off, name: Off, type: yaml, enabled: false, properties: {yamlCatalogPath: models.yaml}}
  - {id: lost, name: Lost, type: yaml, properties: {yamlCatalogPath: nowhere.yaml}}
  - {id: odd, name: Odd, type: huggingface}
";
const MODELS: &str = "
source: Ours
models:
  - {name: group/granite, provider: IBM, tasks: [text-generation], readme: '# Granite', internalNote: not shown,
     artifacts: [{uri: 'oci://registry.example.com/granite:1'}]}
  - {name: mnist, description: Reads digits}
  - {name: secret-draft}
  - {description: has no name}
";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(TempDir::new().unwrap());
        files.write("sources.yaml", SOURCES);
        files.write("models.yaml", MODELS);
        files
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn sources(&self) -> PathBuf {
        self.0.path().join("sources.yaml")
    }
}

async fn ask(catalog: &Catalog, path: &str) -> (u16, Value) {
    let uri = format!("/api/model_catalog/v1alpha1/{path}");
    let request = Request::get(uri).body(Body::empty()).unwrap();
    let (routes, _) = router(catalog.clone()).split_for_parts();
    let answer = routes.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn sources_say_how_they_are() {
    let catalog = Catalog::open(&Files::new().sources()).unwrap();
    let (_, page) = ask(&catalog, "sources").await;
    let states: Vec<(&str, &str)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| (source["id"].as_str().unwrap(), source["status"].as_str().unwrap()))
        .collect();
    let expected = [("ours", "partially-available"), ("off", "disabled"), ("lost", "error"), ("odd", "error")];
    assert_eq!(states, expected);
    assert_eq!(page["items"][0]["error"], "models.yaml: model 4 has no name");
    assert_eq!(page["pageSize"], 10);
}

#[tokio::test]
async fn models_are_found_by_what_they_are() {
    let catalog = Catalog::open(&Files::new().sources()).unwrap();
    for (path, expected) in [
        ("models", vec!["group/granite", "mnist"]),
        ("models?q=DIGITS", vec!["mnist"]),
        ("models?q=text-gen", vec!["group/granite"]),
        ("models?source=off", vec![]),
        ("models?sourceLabel=internal&sortOrder=DESC", vec!["mnist", "group/granite"]),
    ] {
        let (status, page) = ask(&catalog, path).await;
        assert_eq!((status, names(&page)), (200, expected), "{path}");
    }
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended() {
    let catalog = Catalog::open(&Files::new().sources()).unwrap();
    let (_, first) = ask(&catalog, "models?pageSize=1").await;
    assert_eq!(names(&first), ["group/granite"]);
    let token = first["nextPageToken"].as_str().unwrap();
    let (_, second) = ask(&catalog, &format!("models?pageSize=1&nextPageToken={token}")).await;
    assert_eq!((names(&second), &second["nextPageToken"]), (vec!["mnist"], &json!("")));
    for wrong in ["models?pageSize=x", "models?nextPageToken=%2A"] {
        assert_eq!(ask(&catalog, wrong).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn a_model_may_have_a_slash_in_its_name() {
    let catalog = Catalog::open(&Files::new().sources()).unwrap();
    for path in ["sources/ours/models/group/granite", "sources/ours/models/group%2Fgranite"] {
        let (status, model) = ask(&catalog, path).await;
        assert_eq!((status, &model["readme"], &model["source_id"]), (200, &json!("# Granite"), &json!("ours")));
        assert!(model.get("internalNote").is_none() && model.get("artifacts").is_none(), "{model}");
        let (status, page) = ask(&catalog, &format!("{path}/artifacts")).await;
        let expected = json!([{
            "uri": "oci://registry.example.com/granite:1", "artifactType": "model-artifact", "customProperties": {},
        }]);
        assert_eq!((status, &page["items"]), (200, &expected));
    }
    for missing in ["sources/ours/models/secret-draft", "sources/none/models/mnist", "sources/off/models/mnist"] {
        let (status, error) = ask(&catalog, missing).await;
        assert_eq!((status, error["code"].as_str()), (404, Some("Not Found")), "{missing}");
    }
}

#[tokio::test]
async fn changed_files_are_read_and_broken_ones_take_nothing_away() {
    let files = Files::new();
    let catalog = Catalog::open(&files.sources()).unwrap();
    let shutdown = Shutdown::new();
    let following = tokio::spawn(catalog.clone().follow(shutdown.clone()));
    files.write("models.yaml", "models: [{name: mnist}, {name: newcomer}]");
    let lists = async |expected: &[&str]| {
        let (_, page) = ask(&catalog, "models").await;
        if names(&page) == expected { Ok(()) } else { Err(format!("{page}")) }
    };
    eventually(SOON, "the change is seen", async || lists(&["mnist", "newcomer"]).await).await;
    files.write("models.yaml", "models: [");
    let told = async || {
        let (_, page) = ask(&catalog, "sources").await;
        let status = page["items"][0]["status"].clone();
        if status == "partially-available" { Ok(()) } else { Err(format!("{page}")) }
    };
    eventually(SOON, "what is wrong is told", told).await;
    lists(&["mnist", "newcomer"]).await.unwrap();
    files.write("sources.yaml", "catalogs: {");
    files.write("models.yaml", "models: [{name: mnist}]");
    lists(&["mnist", "newcomer"]).await.unwrap();
    shutdown.trigger();
    following.await.unwrap();
}

#[test]
fn a_file_of_sources_that_is_none_is_refused() {
    let files = Files::new();
    for (text, said) in
        [("catalogs: {", "sources.yaml"), ("catalogs: [{id: a, type: yaml}, {id: a, type: yaml}]", "`a`")]
    {
        files.write("sources.yaml", text);
        let error = Catalog::open(&files.sources()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
