//! Pages that show the API and try it out, from files that are part of the program.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, StatusCode};
use utoipa_swagger_ui::Config;

use super::failure::Failure;

/// Where the document is, seen from the page.
const DOCUMENT: &str = "../openapi.json";
/// The pages bring all that they need, and ask nobody but this server. Their styles are set by their scripts.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

pub(super) fn router() -> Router {
    let config = Arc::new(Config::from(DOCUMENT));
    let page = Arc::clone(&config);
    Router::new()
        .route("/docs", get((StatusCode::PERMANENT_REDIRECT, [(LOCATION, "docs/")])))
        .route("/docs/", get(move || async move { file("", page) }))
        .route("/docs/{file}", get(move |Path(path): Path<String>| async move { file(&path, config) }))
}

fn file(path: &str, config: Arc<Config<'static>>) -> Result<Response, Failure> {
    let file = match utoipa_swagger_ui::serve(path, config) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(Failure::not_found(format!("there is no file {path} of the documentation"))),
        Err(error) => return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    };
    let head = [(CONTENT_SECURITY_POLICY, POLICY)];
    let mut response = (head, [(CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response();
    if file.gzpipped {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
