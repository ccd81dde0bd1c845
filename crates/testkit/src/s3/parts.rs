//! Uploads in parts, as clients make them of large files.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use md5::{Digest as _, Md5};

use super::answers::{error, plain, with};
use super::{Inner, Stored, etag};
use crate::hex;

/// The parts of an upload so far, by number.
pub(super) type Parts = BTreeMap<u32, Bytes>;

/// Begins an upload.
pub(super) fn begin(inner: &mut Inner, bucket: &str, key: &str) -> Response {
    let id = format!("upload-{}", inner.uploads.len() + 1);
    inner.uploads.insert(id.clone(), Parts::new());
    xml(&format!(
        "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
         </InitiateMultipartUploadResult>"
    ))
}

/// Keeps a part.
pub(super) fn take(inner: &mut Inner, id: &str, number: &str, body: Bytes) -> Response {
    let (Some(parts), Ok(number)) = (inner.uploads.get_mut(id), number.parse()) else {
        return error(StatusCode::NOT_FOUND, "NoSuchUpload", &http::Method::PUT);
    };
    let etag = etag(&body);
    parts.insert(number, body);
    with(plain(StatusCode::OK), &[("etag", &etag)])
}

/// Makes an object of the parts. Its ETag is the MD5 of theirs, and how many there are.
pub(super) fn complete(inner: &mut Inner, bucket: &str, key: &str, id: &str) -> Response {
    let Some(parts) = inner.uploads.get_mut(id).map(std::mem::take) else {
        return error(StatusCode::NOT_FOUND, "NoSuchUpload", &http::Method::POST);
    };
    let digests: Vec<u8> = parts.values().flat_map(|part| Md5::digest(part).to_vec()).collect();
    let etag = format!("\"{}-{}\"", hex(&Md5::digest(&digests)), parts.len());
    let body = parts.values().map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat();
    let stored = Stored { body: body.into(), etag: etag.clone(), ..Stored::default() };
    inner.buckets.entry(bucket.to_owned()).or_default().insert(key.to_owned(), stored);
    let shown = etag.replace('"', "&quot;");
    xml(&format!("<CompleteMultipartUploadResult><Key>{key}</Key><ETag>{shown}</ETag></CompleteMultipartUploadResult>"))
}

fn xml(body: &str) -> Response {
    with(Response::new(Body::from(body.to_owned())), &[("content-type", "application/xml")])
}
