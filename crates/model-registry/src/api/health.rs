//! Whether the registry is ready, at whatever path a probe of the existing server asks; and the answer to all other paths that
//! nobody else knows.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::ALLOW;
use http::{Method, StatusCode};
use serde_json::json;
use service::Readiness;

use super::failure::Failure;
use super::params::Params;

const ENDINGS: [&str; 2] = ["/readyz/isDirty", "/readyz/health"];
const SHOWN_PATH: usize = 200;

pub(super) fn router(readiness: Readiness) -> Router {
    Router::new().route("/{*path}", any(elsewhere)).with_state(readiness)
}

async fn elsewhere(State(readiness): State<Readiness>, request: Request) -> Result<Response, Failure> {
    let (uri, method) = (request.uri(), request.method());
    let params = Params::of(uri)?;
    let path: String = uri.path().chars().take(SHOWN_PATH).collect();
    if !ENDINGS.iter().any(|ending| uri.path().ends_with(ending)) {
        return Err(Failure::not_found(format!("there is no route {method} {path}")));
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not take the method {method}"));
        return Ok(([(ALLOW, "GET, HEAD")], failure).into_response());
    }
    Ok(health(&readiness, params.get("format")))
}

fn health(readiness: &Readiness, format: Option<&str>) -> Response {
    let reason = readiness.reason();
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if format == Some("json") {
        let outcome = if reason.is_none() { "pass" } else { "fail" };
        let mut check = json!({ "status": outcome });
        if let Some(reason) = reason {
            check["message"] = reason.into();
        }
        let answer = json!({ "status": outcome, "checks": { "database": check } });
        return (status, axum::Json(answer)).into_response();
    }
    match reason {
        None => (status, "OK").into_response(),
        Some(reason) => Failure::new(status, reason).into_response(),
    }
}
