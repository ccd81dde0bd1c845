//! Headers of all answers. What is answered came from others: documents, descriptions and model cards are data, and no
//! browser that is led to one may take it for a page, whatever is in it. An answer that is a page says itself what it may do.

use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};

const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
const NO_GUESSING: HeaderValue = HeaderValue::from_static("nosniff");

pub(super) async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_GUESSING);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    response
}
