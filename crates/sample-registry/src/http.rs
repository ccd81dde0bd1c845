//! The read side of the REST API.

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Kind, SampleRegistry, catalog,
    paging::{ListParams, PageOf},
};

/// A JSON answer, or an error in the registry's form.
pub(crate) type Answer = Result<Json<Value>, Refusal>;

/// An error in the registry's form: `{code, message}`.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = self.status.canonical_reason().unwrap_or("Error");
        (self.status, Json(json!({"code": code, "message": self.message}))).into_response()
    }
}

pub(crate) fn refusal(message: String) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, message }
}

pub(crate) fn not_found(what: &str, id: &str) -> Refusal {
    Refusal { status: StatusCode::NOT_FOUND, message: format!("no {what} found for {id}: not found") }
}

/// The whole router: both prefixes of the registry, and the catalog.
pub(crate) fn router(registry: SampleRegistry) -> Router {
    Router::new()
        .nest("/api/model_registry/v1alpha3", registry_routes())
        .nest("/api/model_registry/v1", registry_routes())
        .nest("/api/model_catalog/v1alpha1", catalog::router())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(registry.clone(), require_token))
        .with_state(registry)
}

fn registry_routes() -> Router<SampleRegistry> {
    Router::new()
        .route("/registered_model", find(Kind::RegisteredModel))
        .route("/model_version", find(Kind::ModelVersion))
        .route("/registered_models", list(Kind::RegisteredModel))
        .route("/registered_models/{id}", one(Kind::RegisteredModel))
        .route("/registered_models/{id}/versions", children(Kind::ModelVersion))
        .route("/model_versions", list(Kind::ModelVersion))
        .route("/model_versions/{id}", one(Kind::ModelVersion))
        .route("/model_versions/{id}/artifacts", children(Kind::ModelArtifact))
        .route("/model_artifacts", list(Kind::ModelArtifact))
        .route("/model_artifacts/{id}", one(Kind::ModelArtifact))
        .route("/inference_services", list(Kind::InferenceService))
        .route("/inference_services/{id}", one(Kind::InferenceService))
        .route("/serving_environments", list(Kind::ServingEnvironment))
        .route("/serving_environments/{id}", one(Kind::ServingEnvironment))
        .route("/serving_environments/{id}/inference_services", children(Kind::InferenceService))
}

type Route = axum::routing::MethodRouter<SampleRegistry>;

fn list(kind: Kind) -> Route {
    get(move |State(registry): State<SampleRegistry>, Query(params): Query<ListParams>| async move {
        page(&registry, kind, None, &params)
    })
}

fn children(kind: Kind) -> Route {
    get(
        move |State(registry): State<SampleRegistry>, Path(parent): Path<String>, Query(params): Query<ListParams>| async move {
            let parent = parse_id(&parent)?;
            page(&registry, kind, Some(parent), &params)
        },
    )
}

fn one(kind: Kind) -> Route {
    get(move |State(registry): State<SampleRegistry>, Path(text): Path<String>| async move {
        let id = parse_id(&text)?;
        registry
            .read(|state| state.table(kind).rows.get(&id).map(|row| row.body.clone()))
            .map(Json)
            .ok_or_else(|| not_found("record", &text))
    })
}

/// What a record is found by.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FindParams {
    name: String,
    parent_resource_id: Option<String>,
}

fn find(kind: Kind) -> Route {
    get(move |State(registry): State<SampleRegistry>, Query(params): Query<FindParams>| async move {
        let is_meant = |body: &Value| {
            let parent = kind.parent_field().and_then(|field| body[field].as_str());
            body["name"] == params.name.as_str() && parent == params.parent_resource_id.as_deref()
        };
        let found = registry
            .read(|state| state.table(kind).rows.values().find(|row| is_meant(&row.body)).map(|row| row.body.clone()));
        found.map(Json).ok_or_else(|| not_found("record", &params.name))
    })
}

fn page(registry: &SampleRegistry, kind: Kind, parent: Option<u64>, params: &ListParams) -> Answer {
    registry.read(|state| {
        let table = state.table(kind);
        let page = params.page(table, parent, state.dialect).map_err(refusal)?;
        let bodies = page.ids.iter().filter_map(|id| table.rows.get(id));
        Ok(list_answer(PageOf {
            ids: bodies.map(|row| row.body.clone()).collect(),
            next_page_token: page.next_page_token,
            page_size: page.page_size,
        }))
    })
}

pub(crate) fn list_answer(page: PageOf<Value>) -> Json<Value> {
    let mut list = json!({"nextPageToken": page.next_page_token, "pageSize": page.page_size, "size": page.ids.len()});
    list["items"] = Value::Array(page.ids);
    Json(list)
}

fn parse_id(text: &str) -> Result<u64, Refusal> {
    let valid = text.len() <= 9 && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| valid).ok_or_else(|| refusal(format!("invalid id {text:?}: bad request")))
}

async fn require_token(State(registry): State<SampleRegistry>, request: Request, next: Next) -> Response {
    let wanted = registry.read(|state| state.token.as_ref().map(|token| format!("Bearer {token}")));
    let given = request.headers().get(header::AUTHORIZATION);
    match wanted {
        Some(wanted) if given.is_none_or(|given| given.as_bytes() != wanted.as_bytes()) => Refusal {
            status: StatusCode::UNAUTHORIZED,
            message: "a valid bearer token is required: unauthorized".to_owned(),
        }
        .into_response(),
        _ => next.run(request).await,
    }
}

async fn unknown_path() -> Refusal {
    Refusal { status: StatusCode::NOT_FOUND, message: "no such path: not found".to_owned() }
}

async fn wrong_method() -> Refusal {
    Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        message: "this registry is read-only over HTTP: method not allowed".to_owned(),
    }
}
