//! The OpenAPI document says what the routes do.
#![allow(clippy::unwrap_used, reason = "a test that is set up wrongly should stop at once")]

use std::sync::Arc;

use axum::Router;
use location::api;
use location::catalog::ServedCatalog;
use location::metrics::ChangeTimes;
use model_catalog::render::Format;
use service::auth::{AccessSettings, BridgeTokenSettings, Surroundings};
use service::{Authorizer, Readiness, ServerBuilder};
use testkit::openapi::assert_describes;

fn app(access: &AccessSettings) -> Router {
    let authorizer = Authorizer::new("location", access, Surroundings::default()).unwrap();
    let catalog = Arc::new(ServedCatalog::new(Format::ModelCatalogJson));
    let routes =
        api::router(catalog, Readiness::not_ready("storage was not asked yet"), ChangeTimes::default(), &authorizer);
    ServerBuilder::new("location").described(routes).app()
}

fn with_token() -> AccessSettings {
    let token = BridgeTokenSettings { bridge_token: Some("secret".into()), ..BridgeTokenSettings::default() };
    AccessSettings { token, ..AccessSettings::default() }
}

#[tokio::test]
async fn every_route_is_described_as_it_is() {
    let document = assert_describes(&app(&AccessSettings::default()), &[]).await;
    assert_eq!(document["info"]["title"], "location");
    assert!(document["paths"]["/upsert"]["post"]["security"].is_null(), "there is no token to ask for");
}

#[tokio::test]
async fn a_token_is_asked_for_where_the_document_says_so() {
    let document = assert_describes(&app(&with_token()), &[]).await;
    let paths = &document["paths"];
    for (path, method) in [("/upsert", "post"), ("/remove", "delete")] {
        assert_eq!(paths[path][method]["security"][0]["bridgeToken"], serde_json::json!([]), "{path}");
    }
    assert!(paths["/list"]["get"]["security"].is_null());
    assert_eq!(document["components"]["securitySchemes"]["bridgeToken"]["scheme"], "bearer");

    let readers_too = AccessSettings { require_read_token: true, ..with_token() };
    let document = assert_describes(&app(&readers_too), &[]).await;
    assert_eq!(document["paths"]["/list"]["get"]["security"][0]["bridgeToken"], serde_json::json!([]));
    assert!(document["paths"]["/healthz"]["get"]["security"].is_null());
}
