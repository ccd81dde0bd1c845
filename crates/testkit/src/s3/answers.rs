//! What is answered to one request.

use std::collections::BTreeMap;
use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::{Inner, ReceivedRequest, Shared, Stored, etag, listing, lock, parts};

const LAST_MODIFIED: &str = "Sat, 21 Nov 2026 12:00:00 GMT";

pub(super) async fn answer(State(shared): State<Shared>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let (bucket, key) = (decoded(bucket), decoded(key));
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let received = ReceivedRequest {
        method: parts.method.clone(),
        bucket: bucket.clone(),
        key: key.clone(),
        query: query.clone(),
        range: text(&parts.headers, header::RANGE.as_str()),
        signed_by: signed_by(&parts.headers),
    };
    // Read before the lock is taken, which no await may hold.
    let content = match parts.method {
        Method::PUT | Method::POST => body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
        _ => Bytes::new(),
    };
    let mut inner = lock(&shared);
    if inner.records {
        inner.requests.push(received);
    }
    respond(&mut inner, &parts.method, (&bucket, &key), &query, &parts.headers, content)
}

fn respond(
    inner: &mut Inner,
    method: &Method,
    (bucket, key): (&str, &str),
    query: &str,
    headers: &HeaderMap,
    content: Bytes,
) -> Response {
    let asked: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    match (method, asked.get("uploadId")) {
        (&Method::POST, None) if asked.contains_key("uploads") => return parts::begin(inner, bucket, key),
        (&Method::POST, Some(id)) => return parts::complete(inner, bucket, key, id),
        (&Method::PUT, Some(id)) => {
            let number = asked.get("partNumber").map_or("", String::as_str);
            return parts::take(inner, id, number, unchunked(headers, content));
        }
        (&Method::PUT, None) => return put(inner, bucket, key, headers, content),
        _ => {}
    }
    let Some(objects) = inner.buckets.get(bucket) else {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket", method);
    };
    match (method, key) {
        (&Method::GET, "") => listing::list(objects, query),
        (&Method::HEAD, "") => plain(StatusCode::OK),
        (&Method::GET | &Method::HEAD, key) => match objects.get(key) {
            Some(stored) => object(stored, method, headers),
            None => error(StatusCode::NOT_FOUND, "NoSuchKey", method),
        },
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", method),
    }
}

fn put(inner: &mut Inner, bucket: &str, key: &str, headers: &HeaderMap, content: Bytes) -> Response {
    let objects = inner.buckets.entry(bucket.to_owned()).or_default();
    if key.is_empty() {
        return plain(StatusCode::OK);
    }
    let body = unchunked(headers, content);
    let etag = etag(&body);
    objects.insert(key.to_owned(), Stored { body, etag: etag.clone(), headers: Vec::new() });
    with(plain(StatusCode::OK), &[(header::ETAG.as_str(), &etag)])
}

/// Clients of Amazon's send bodies in chunks of their own (`aws-chunked`), each with its length before it.
fn unchunked(headers: &HeaderMap, content: Bytes) -> Bytes {
    if !text(headers, "content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked")) {
        return content;
    }
    let mut rest = content.as_ref();
    let mut body = Vec::with_capacity(rest.len());
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let length = usize::from_str_radix(head.split(';').next().unwrap_or_default(), 16).unwrap_or(0);
        if length == 0 || rest.len() < end + 2 + length {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = rest.get(end + 2 + length + 2..).unwrap_or_default();
    }
    body.into()
}

fn object(stored: &Stored, method: &Method, headers: &HeaderMap) -> Response {
    let wanted = text(headers, header::IF_MATCH.as_str());
    if wanted.is_some_and(|wanted| wanted != "*" && wanted.split(',').all(|one| one.trim() != stored.etag)) {
        return error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", method);
    }
    let size = stored.body.len();
    let range = match text(headers, header::RANGE.as_str()).map(|range| parse_range(&range, size)) {
        None => None,
        Some(Some(range)) => Some(range),
        Some(None) => return error(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", method),
    };
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let shown = range.clone().unwrap_or(0..size);
    let mut response = Response::new(match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from(stored.body.slice(shown.clone())),
    });
    *response.status_mut() = status;
    let length = shown.len().to_string();
    let response = with(
        response,
        &[
            (header::CONTENT_LENGTH.as_str(), &length),
            (header::ETAG.as_str(), &stored.etag),
            (header::LAST_MODIFIED.as_str(), LAST_MODIFIED),
            (header::ACCEPT_RANGES.as_str(), "bytes"),
            (header::CONTENT_TYPE.as_str(), "application/octet-stream"),
        ],
    );
    // Amazon tells checksums to who asks for them, and never with a range.
    let tells_sums = range.is_none() && text(headers, "x-amz-checksum-mode").is_some_and(|mode| mode == "ENABLED");
    let is_told = |(name, _): &&(String, String)| tells_sums || !name.starts_with("x-amz-checksum-");
    let own = stored.headers.iter().filter(is_told).map(|(name, value)| (&**name, &**value));
    let response = with(response, &own.collect::<Vec<(&str, &str)>>());
    match range {
        None => response,
        Some(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            with(response, &[(header::CONTENT_RANGE.as_str(), &content_range)])
        }
    }
}

/// `bytes=a-b`, `bytes=a-` and `bytes=-n`, within the object.
fn parse_range(text: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), Some(last)) => first..last.saturating_add(1).min(size),
        (Some(first), None) => first..size,
        (None, Some(count)) => size.saturating_sub(count)..size,
        (None, None) => return None,
    };
    (range.start < range.end).then_some(range)
}

/// The access key of an AWS signature of the fourth version.
fn signed_by(headers: &HeaderMap) -> Option<String> {
    let authorization = text(headers, header::AUTHORIZATION.as_str())?;
    let credential = authorization.split_once("Credential=")?.1;
    Some(credential.split('/').next()?.to_owned())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

pub(super) fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

pub(super) fn with(mut response: Response, headers: &[(&str, &str)]) -> Response {
    for (name, value) in headers {
        let name: header::HeaderName = name.parse().expect("a header's name");
        response.headers_mut().insert(name, value.parse().expect("a header's value"));
    }
    response
}

pub(super) fn error(status: StatusCode, code: &str, method: &Method) -> Response {
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from(format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>")),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    with(response, &[(header::CONTENT_TYPE.as_str(), "application/xml")])
}
