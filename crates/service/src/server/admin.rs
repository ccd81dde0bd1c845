//! The routes that every service has: `/healthz`, `/readyz` and `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use prometheus_client::metrics::gauge::Gauge;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::ApiError;
use super::readiness::Readiness;
use crate::metrics::{CONTENT_TYPE as METRICS_CONTENT_TYPE, Metrics};
use crate::openapi::ErrorAnswer;

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: Metrics,
    ready: Gauge,
}

pub(super) fn router(readiness: Readiness, metrics: Metrics) -> OpenApiRouter {
    let ready = metrics.register("ready", "Whether the service is ready (1) or not (0)", Gauge::default());
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(write_metrics))
        .with_state(Admin { readiness, metrics, ready })
}

/// The service runs
#[utoipa::path(
    get, path = "/healthz", tag = "state",
    responses((status = OK, description = "It does", body = String, content_type = "text/plain"))
)]
async fn healthz() -> &'static str {
    "ok"
}

/// The service can do its work
#[utoipa::path(
    get, path = "/readyz", tag = "state",
    responses(
        (status = OK, description = "It can", body = String, content_type = "text/plain"),
        (status = SERVICE_UNAVAILABLE, description = "It cannot, and this is why", body = ErrorAnswer),
    )
)]
async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.readiness.reason() {
        None => "ok".into_response(),
        Some(reason) => ApiError::unavailable(reason).into_response(),
    }
}

/// What the service counts, for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "state",
    responses((
        status = OK, description = "The text format of OpenMetrics", body = String,
        content_type = "application/openmetrics-text",
    ))
)]
async fn write_metrics(State(admin): State<Admin>) -> Response {
    admin.ready.set(i64::from(admin.readiness.is_ready()));
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], admin.metrics.encode()).into_response()
}
