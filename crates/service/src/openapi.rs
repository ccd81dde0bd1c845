//! What a service says of its own routes: an OpenAPI document at `/openapi.json`.
//!
//! Routes that are given together with their description ([`OpenApiRouter`]) can't be forgotten in it. What all of them
//! have in common is added here: what may go wrong with any request, and whom a guard lets through.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, Header, InfoBuilder, License, ObjectBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where the document is.
pub const PATH: &str = "/openapi.json";
const JSON: &str = "application/json";

/// The body of every answer that reports an error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorAnswer {
    /// What went wrong and what to do, for people
    pub error: String,
}

/// A bearer token, as documents tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenScheme {
    /// What it is called.
    pub name: &'static str,
    /// Which token it is.
    pub about: &'static str,
}

/// Who is let through by a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetThrough {
    /// Whoever has a token.
    TokenOnly(TokenScheme),
    /// Whoever is on the service's own machine: there is no token.
    OwnMachine,
}

/// Says of `routes` that a guard stands before them.
pub fn guarded<S: Clone + Send + Sync + 'static>(
    mut routes: OpenApiRouter<S>,
    let_through: LetThrough,
) -> OpenApiRouter<S> {
    let document = routes.get_openapi_mut();
    failing(document, StatusCode::UNAUTHORIZED, "There is no token, or it is not known");
    failing(document, StatusCode::FORBIDDEN, "The token is known, and its owner may not do this");
    failing(document, StatusCode::SERVICE_UNAVAILABLE, "Not now: ask again later");
    if let LetThrough::TokenOnly(TokenScheme { name, about }) = let_through {
        for operation in operations(document) {
            let none: [&str; 0] = [];
            operation.security = Some(vec![SecurityRequirement::new(name, none)]);
        }
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description = Some(about.to_owned());
        let components = document.components.get_or_insert_default();
        components.security_schemes.insert(name.to_owned(), SecurityScheme::Http(scheme).into());
    }
    routes
}

/// Adds what any request may be answered that passes the gate: [`super::server::Limits`] and panics.
pub(crate) fn limited(document: &mut OpenApi) {
    failing(document, StatusCode::INTERNAL_SERVER_ERROR, "The service is wrong: its log says more");
    failing(document, StatusCode::SERVICE_UNAVAILABLE, "Not now: ask again later");
    for operation in operations(document).filter(|operation| operation.request_body.is_some()) {
        add(operation, StatusCode::PAYLOAD_TOO_LARGE, "The body is too large");
    }
}

/// The route that answers the document of the service called `name`, whose errors are of the schema `error` and whose other
/// routes are described in `own` and `common`.
pub(crate) fn route(name: &str, error: RefOr<Schema>, own: OpenApi, common: OpenApi) -> Router {
    let (router, itself) = OpenApiRouter::new().routes(routes!(openapi)).split_for_parts();
    let mut document = document(name, error);
    for part in [own, common, itself] {
        document.merge(part);
    }
    // A document consists of texts and numbers, which always have a JSON form.
    router.with_state(Bytes::from(serde_json::to_vec(&document).unwrap_or_default()))
}

/// What can be asked here, as an OpenAPI document
#[utoipa::path(
    get, path = PATH, tag = "state",
    responses((status = OK, description = "The document", body = serde_json::Value, content_type = "application/json"))
)]
async fn openapi(State(json): State<Bytes>) -> Response<Body> {
    ([(CONTENT_TYPE, JSON)], json).into_response()
}

fn document(name: &str, error: RefOr<Schema>) -> OpenApi {
    let about = "A service of the Model Catalog Bridge. An unknown path is answered with 404, a method that a path does \
                 not take with 405, each with an `Error` as JSON.";
    let license = License::builder().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title(name)
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(about))
        .license(Some(license))
        .build();
    let mut document = OpenApi::new(info, utoipa::openapi::Paths::new());
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.insert(ErrorAnswer::name().into_owned(), error);
    document
}

/// Answers, too, at `path`, as `operation_id`, what is described at `original`.
pub fn alias(document: &mut OpenApi, original: &str, path: &str, operation_id: &str) {
    let Some(mut item) = document.paths.paths.get(original).cloned() else { return };
    for operation in operations_of(&mut item) {
        operation.operation_id = Some(operation_id.to_owned());
    }
    document.paths.paths.insert(path.to_owned(), item);
}

/// Says that the requests to `path` may go without a body.
pub fn optional_body(document: &mut OpenApi, path: &str) {
    let Some(item) = document.paths.paths.get_mut(path) else { return };
    for operation in operations_of(item) {
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            body.required = None;
        }
    }
}

fn failing(document: &mut OpenApi, status: StatusCode, description: &str) {
    for operation in operations(document) {
        add(operation, status, description);
    }
}

fn add(operation: &mut Operation, status: StatusCode, description: &str) {
    let code = status.as_str().to_owned();
    operation.responses.responses.entry(code).or_insert_with(|| RefOr::T(failure(status, description)));
}

fn failure(status: StatusCode, description: &str) -> utoipa::openapi::Response {
    let error = Content::new(Some(Ref::from_schema_name(ErrorAnswer::name())));
    let response = ResponseBuilder::new().description(description).content(JSON, error);
    let of_type = |kind: Type| Header::new(ObjectBuilder::new().schema_type(kind).build());
    match status {
        StatusCode::SERVICE_UNAVAILABLE => response.header(RETRY_AFTER.as_str(), of_type(Type::Integer)),
        StatusCode::UNAUTHORIZED => response.header(WWW_AUTHENTICATE.as_str(), of_type(Type::String)),
        _ => response,
    }
    .build()
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(operations_of)
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch].into_iter().flatten()
}
