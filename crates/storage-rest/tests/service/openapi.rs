//! The OpenAPI document says what the routes do.

use std::sync::{Arc, OnceLock};

use axum::Router;
use model_catalog::render::Format;
use service::auth::{AccessSettings, BridgeTokenSettings, Surroundings};
use service::{Authorizer, Metrics, ServerBuilder};
use storage_rest::api::{self, Api, Facts};
use storage_rest::deliver::{Settled, Touched};
use storage_rest::metrics::StorageMetrics;
use testkit::openapi::assert_describes;

fn app(access: &AccessSettings) -> Router {
    let metrics = Metrics::new("storage-rest");
    let api = Api {
        store: Arc::new(OnceLock::new()),
        settled: Settled::default(),
        touched: Arc::new(Touched::default()),
        metrics: StorageMetrics::new(&metrics),
        facts: Facts { format: Format::CatalogInfoYaml, push_to_backstage: false },
    };
    let authorizer = Authorizer::new("storage-rest", access, Surroundings::default()).unwrap();
    ServerBuilder::new("storage-rest").described(api::router(api, &authorizer)).metrics(metrics).app()
}

#[tokio::test]
async fn every_route_is_described_as_it_is() {
    let document = assert_describes(&app(&AccessSettings::default()), &[]).await;
    assert_eq!(document["info"]["title"], "storage-rest");
    let token = BridgeTokenSettings { bridge_token: Some("secret".into()), ..BridgeTokenSettings::default() };
    let document = assert_describes(&app(&AccessSettings { token, ..AccessSettings::default() }), &[]).await;
    for path in ["/upsert", "/currentkeyset", "/settle"] {
        assert_eq!(document["paths"][path]["post"]["security"][0]["bridgeToken"], serde_json::json!([]), "{path}");
    }
    assert!(document["paths"]["/list"]["get"]["security"].is_null());
}
