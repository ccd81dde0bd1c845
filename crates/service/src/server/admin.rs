//! The routes that every service has: `/healthz`, `/readyz` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use prometheus_client::metrics::gauge::Gauge;

use super::answers::ApiError;
use super::readiness::Readiness;
use crate::metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Metrics};

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: Metrics,
    ready: Gauge,
}

pub(super) fn router(readiness: Readiness, metrics: Metrics) -> Router {
    let ready = metrics.register("ready", "Whether the service is ready (1) or not (0)", Gauge::default());
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(write_metrics))
        .with_state(Admin { readiness, metrics, ready })
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.readiness.reason() {
        None => "ok".into_response(),
        Some(reason) => ApiError::unavailable(reason).into_response(),
    }
}

async fn write_metrics(State(admin): State<Admin>) -> Response {
    admin.ready.set(i64::from(admin.readiness.is_ready()));
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], admin.metrics.encode()).into_response()
}
