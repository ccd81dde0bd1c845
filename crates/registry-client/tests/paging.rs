//! Lists are read to their end, whatever dialect the server speaks, and end even where the server does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::sync::{Arc, Mutex};

use common::{client, http, registry_of};
use registry_client::{Failure, ListQuery, OrderBy, RegistryClient, SortOrder};
use rstest::rstest;
use sample_registry::Dialect;
use secrecy::SecretString;
use serde_json::json;
use testkit::registry::{Fault, Matcher, ScriptedRegistry};
use url::Url;

#[rstest]
#[case::standard(Dialect::Standard, 10, 5)]
#[case::ignores_order(Dialect::IgnoresOrder, 10, 5)]
#[case::page_cap(Dialect::PageCap(20), 30, 3)]
#[case::unpaged(Dialect::Unpaged, 10, 1)]
#[case::ends_on_a_full_page(Dialect::Standard, 9, 5)]
#[tokio::test]
async fn every_dialect_gives_every_record_once(#[case] dialect: Dialect, #[case] page_size: u32, #[case] pages: usize) {
    let registry = registry_of(45).await;
    registry.edit().set_dialect(dialect);
    for query in [ListQuery::default(), ListQuery::newest_first()] {
        let list = client(&registry).registered_models(query.with_page_size(page_size));
        let listing = list.collect_all().await.unwrap();
        let mut ids: Vec<u32> = listing.records.iter().map(|m| m.id.parse().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=45).collect::<Vec<_>>());
        assert_eq!(listing.pages, pages);
        assert!(listing.malformed.is_empty());
    }
}

#[tokio::test]
async fn an_empty_registry_is_an_empty_list() {
    let registry = registry_of(0).await;
    let listing = client(&registry).model_versions(ListQuery::default()).collect_all().await.unwrap();
    assert!(listing.records.is_empty());
    assert_eq!(listing.pages, 1);
}

#[tokio::test]
async fn newest_first_lets_a_caller_stop_early() {
    let registry = registry_of(50).await;
    registry.edit().update_model("17", json!({"description": "new"})).unwrap();
    let mut pages = client(&registry).registered_models(ListQuery::newest_first().with_page_size(5));
    let page = pages.next_page().await.unwrap().unwrap();
    let ids: Vec<_> = page.records.into_iter().map(|record| record.unwrap().id).collect();
    assert_eq!(ids, ["17", "50", "49", "48", "47"]);
    assert!(!page.is_last);
    drop(pages);
    assert_eq!(registry.total(), 1, "a page is asked for only when it is wanted");
}

#[tokio::test]
async fn the_query_says_order_and_size() {
    let registry = registry_of(1).await;
    let query = ListQuery { page_size: 7, order_by: OrderBy::CreateTime, sort_order: SortOrder::Descending };
    client(&registry).registered_models(query).collect_all().await.unwrap();
    assert_eq!(registry.requests()[0].query, "pageSize=7&orderBy=CREATE_TIME&sortOrder=DESC");
}

#[tokio::test]
async fn a_token_that_comes_again_is_an_error() {
    let registry = registry_of(3).await;
    registry.edit().set_dialect(Dialect::RepeatsToken);
    let list = client(&registry).registered_models(ListQuery::default());
    let error = list.collect_all().await.unwrap_err();
    assert!(matches!(error.failure, Failure::RepeatedToken { pages: 2 }), "{error}");
    assert_eq!(registry.total(), 2);
}

#[tokio::test]
async fn children_and_all_kinds_are_listed() {
    let registry = ScriptedRegistry::start().await;
    let edit = registry.edit();
    let model = edit.create_model("granite", json!({}));
    let other = edit.create_model("llama", json!({}));
    let version = edit.create_version(&model, "v1", json!({"author": "ada"}));
    edit.create_version(&other, "v1", json!({}));
    edit.create_artifact(&version, "weights", json!({"uri": "s3://models/granite"}));
    edit.create_artifact(&version, "notes", json!({"artifactType": "doc-artifact"}));
    let environment = edit.create_serving_environment("ai-models", json!({}));
    edit.create_inference_service(
        &environment,
        "granite-v1/1",
        json!({"registeredModelId": model, "modelVersionId": version}),
    );
    let client = client(&registry);
    let query = ListQuery::default();

    let versions = client.versions_of(&model, query).collect_all().await.unwrap().records;
    assert_eq!(versions.len(), 1);
    assert_eq!(versions[0].registered_model_id, model);
    assert_eq!(versions[0].author.as_deref(), Some("ada"));
    let artifacts = client.artifacts_of(&version, query).collect_all().await.unwrap();
    assert_eq!(artifacts.records.len(), 1, "other kinds of artifact are passed over");
    assert!(artifacts.malformed.is_empty());
    assert_eq!(artifacts.records[0].uri.as_deref(), Some("s3://models/granite"));
    assert_eq!(client.model_artifacts(query).collect_all().await.unwrap().records.len(), 1);
    let services = client.inference_services(query).collect_all().await.unwrap().records;
    assert!(services[0].is_deployed());
    assert_eq!(services[0].serving_environment_id, environment);
    let environments = client.serving_environments(query).collect_all().await.unwrap().records;
    assert_eq!(environments[0].name, "ai-models");
    let found = client.serving_environment(&environment).await.unwrap().unwrap();
    assert_eq!(found.name, "ai-models");
    assert_eq!(client.serving_environment("99").await.unwrap(), None);
    assert_eq!(client.registered_model(&model).await.unwrap().unwrap().name, "granite");
}

#[tokio::test]
async fn a_404_that_is_not_the_registry_s_own_proves_nothing() {
    let registry = registry_of(0).await;
    let page = Fault::StatusWith {
        code: 404,
        headers: vec![("content-type", "text/html".to_owned())],
        body: "<h1>Application is not available</h1>".to_owned(),
    };
    registry.fail(Matcher::Any, page);
    let error = client(&registry).serving_environment("1").await.unwrap_err();
    assert_eq!(error.status(), Some(404));
}

#[rstest]
#[case::host("", "/api/model_registry/v1alpha3")]
#[case::prefix("gateway/team-a", "/gateway/team-a/api/model_registry/v1alpha3")]
#[case::prefix_with_slash("gateway/team-a/", "/gateway/team-a/api/model_registry/v1alpha3")]
#[case::api_root("api/model_registry/v1alpha3", "/api/model_registry/v1alpha3")]
#[case::newer_api_root("x/api/model_registry/v1/", "/x/api/model_registry/v1")]
#[case::catalog_root("x/api/model_catalog/v1alpha1", "/x/api/model_registry/v1alpha3")]
fn the_base_may_be_a_host_a_prefix_or_the_api_root(#[case] path: &str, #[case] expected: &str) {
    let base = Url::parse("https://user:secret@registry.example.com/").unwrap().join(path).unwrap();
    let client = RegistryClient::new(base, http(), None);
    assert_eq!(client.base_url(), format!("https://registry.example.com{expected}"));
}

#[tokio::test]
async fn a_prefix_is_in_the_requests_too() {
    let registry = registry_of(0).await;
    let base = registry.url().join("team-a").unwrap();
    let client = RegistryClient::new(base, http(), None);
    let error = client.registered_models(ListQuery::default()).collect_all().await.unwrap_err();
    assert_eq!(error.status(), Some(404));
    assert_eq!(registry.requests()[0].path, "/team-a/api/model_registry/v1alpha3/registered_models");
}

#[tokio::test]
async fn the_newer_prefix_answers_alike() {
    let registry = registry_of(2).await;
    let base = registry.url().join("api/model_registry/v1").unwrap();
    let client = RegistryClient::new(base, http(), None);
    let listing = client.registered_models(ListQuery::default()).collect_all().await.unwrap();
    assert_eq!(listing.records.len(), 2);
}

#[tokio::test]
async fn the_token_is_sent_and_a_missing_one_explained() {
    let registry = registry_of(1).await;
    registry.require_token(Some("s3cret-token"));
    let refused = client(&registry).registered_models(ListQuery::default()).collect_all().await;
    let error = refused.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(error.to_string().contains("bearer token"), "{error}");
    assert!(!error.is_transient());

    let token = SecretString::from("s3cret-token".to_owned());
    let client = RegistryClient::new(registry.url(), http(), Some(token));
    let listing = client.registered_models(ListQuery::default()).collect_all().await.unwrap();
    assert_eq!(listing.records.len(), 1);
    assert!(!format!("{client:?}").contains("s3cret"));

    let current = Arc::new(Mutex::new("s3cret-token"));
    let source = Arc::clone(&current);
    let client = RegistryClient::new(registry.url(), http(), None)
        .with_token_source(Arc::new(move || Some(SecretString::from(*source.lock().unwrap()))));
    client.registered_models(ListQuery::default()).collect_all().await.unwrap();
    registry.require_token(Some("rotated"));
    assert!(client.registered_models(ListQuery::default()).collect_all().await.is_err());
    *current.lock().unwrap() = "rotated";
    client.registered_models(ListQuery::default()).collect_all().await.unwrap();
}
