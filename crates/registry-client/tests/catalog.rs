//! Catalog models are found by source and name, with their cards; only the catalog itself can say that there is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use common::{catalog, http};
use registry_client::{CatalogClient, Failure};
use serde_json::json;
use testkit::registry::{Fault, Matcher, ScriptedRegistry};

const SOURCES: &str = "/api/model_catalog/v1alpha1/sources";

async fn registry() -> ScriptedRegistry {
    let registry = ScriptedRegistry::start().await;
    let edit = registry.edit();
    edit.put_catalog_source("redhat_ai_models", json!({"name": "Red Hat AI", "labels": ["Red Hat"]}));
    edit.put_catalog_model("redhat_ai_models", "RedHatAI/granite 3?", "# Granite", json!({"provider": "IBM"}));
    for number in 0..120 {
        edit.put_catalog_model("community", &format!("group/model-{number}"), "card", json!({}));
    }
    registry
}

#[tokio::test]
async fn a_card_is_found_by_a_name_with_slashes() {
    let registry = registry().await;
    let model = catalog(&registry).model_card("redhat_ai_models", "RedHatAI/granite 3?").await.unwrap().unwrap();
    assert_eq!(model.readme.as_deref(), Some("# Granite"));
    assert_eq!(model.provider.as_deref(), Some("IBM"));
    assert_eq!(model.source_id.as_deref(), Some("redhat_ai_models"));
    assert_eq!(registry.requests()[0].path, format!("{SOURCES}/redhat_ai_models/models/RedHatAI%2Fgranite%203%3F"));
}

#[tokio::test]
async fn an_unknown_model_or_source_has_no_card() {
    let registry = registry().await;
    let catalog = catalog(&registry);
    assert_eq!(catalog.model_card("redhat_ai_models", "nobody/nothing").await.unwrap(), None);
    assert_eq!(catalog.model_card("nowhere", "RedHatAI/granite 3?").await.unwrap(), None);
    assert_eq!(catalog.model_card("redhat_ai_models", "..").await.unwrap(), None);
}

#[tokio::test]
async fn a_failure_is_not_a_missing_card() {
    let registry = registry().await;
    for fault in [Fault::Html, Fault::Empty200, Fault::json("{}"), Fault::Status(500), Fault::Reset, Fault::HalfPage] {
        registry.clear_faults();
        registry.fail(Matcher::Any, fault.clone());
        let answer = catalog(&registry).model_card("redhat_ai_models", "RedHatAI/granite 3?").await;
        assert!(answer.is_err(), "{fault:?} gave {answer:?}");
    }
    registry.clear_faults();
    let elsewhere = CatalogClient::new(registry.url().join("nowhere").unwrap(), http(), None);
    registry.fail(
        Matcher::Any,
        Fault::StatusWith { code: 404, headers: Vec::new(), body: "404 page not found".to_owned() },
    );
    let error = elsewhere.model_card("redhat_ai_models", "RedHatAI/granite 3?").await.unwrap_err();
    assert!(matches!(error.failure, Failure::Status { code: 404, .. }), "{error}");
    assert!(error.to_string().starts_with("model catalog at "), "{error}");
}

#[tokio::test]
async fn sources_and_models_are_listed_to_the_end() {
    let registry = registry().await;
    let catalog = catalog(&registry);
    let sources = catalog.sources().collect_all().await.unwrap().records;
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[1].name, "Red Hat AI");
    assert!(sources[1].is_enabled);
    let models = catalog.models("community").collect_all().await.unwrap();
    assert_eq!(models.records.len(), 120);
    assert_eq!(models.pages, 3);
}

#[tokio::test]
async fn the_registry_s_address_leads_to_the_catalog_beside_it() {
    let registry = registry().await;
    let base = registry.url().join("team/api/model_registry/v1alpha3").unwrap();
    let client = CatalogClient::new(base, http(), None);
    assert_eq!(client.base_url(), format!("{}team/api/model_catalog/v1alpha1", registry.url()));
}
