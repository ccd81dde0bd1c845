//! Lists of objects, page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;

use axum::body::Body;
use axum::response::Response;
use http::header;
use url::form_urlencoded;

use super::Stored;

/// The most that a page has.
const PAGE: usize = 1000;
const LAST_MODIFIED: &str = "2026-11-21T12:00:00.000Z";

/// By key, after the token (of the first version of lists: the marker), below the prefix; with a delimiter what is deeper as
/// common prefixes.
pub(super) fn list(objects: &BTreeMap<String, Stored>, query: &str) -> Response {
    let asked: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let get = |name: &str| asked.get(name).map_or("", String::as_str);
    let prefix = get("prefix");
    let size = get("max-keys").parse().unwrap_or(PAGE).min(PAGE);
    let after =
        [get("continuation-token"), get("start-after"), get("marker")].into_iter().find(|token| !token.is_empty());
    let start = match after {
        Some(after) => Bound::Excluded(after),
        None => Bound::Included(prefix),
    };

    let mut contents = String::new();
    let mut common: BTreeSet<String> = BTreeSet::new();
    let (mut count, mut last, mut is_truncated) = (0, "", false);
    for (key, stored) in
        objects.range::<str, _>((start, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix))
    {
        if count == size {
            is_truncated = true;
            break;
        }
        last = key;
        match group(key, prefix, get("delimiter")) {
            Some(group) => count += usize::from(common.insert(group)),
            None => {
                count += 1;
                let _ = write!(
                    contents,
                    "<Contents><Key>{}</Key><LastModified>{LAST_MODIFIED}</LastModified><ETag>{}</ETag><Size>{}</Size>\
                     <StorageClass>STANDARD</StorageClass></Contents>",
                    escaped(key),
                    escaped(&stored.etag),
                    stored.body.len()
                );
            }
        }
    }
    for prefix in &common {
        let _ = write!(contents, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(prefix));
    }
    let next = if is_truncated {
        let name = if get("list-type") == "2" { "NextContinuationToken" } else { "NextMarker" };
        format!("<{name}>{}</{name}>", escaped(last))
    } else {
        String::new()
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Prefix>{}</Prefix><KeyCount>{count}</KeyCount>\
         <MaxKeys>{size}</MaxKeys><IsTruncated>{is_truncated}</IsTruncated>{next}{contents}</ListBucketResult>",
        escaped(prefix)
    );
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
    response
}

fn group(key: &str, prefix: &str, delimiter: &str) -> Option<String> {
    if delimiter.is_empty() {
        return None;
    }
    let end = key[prefix.len()..].find(delimiter)? + prefix.len() + delimiter.len();
    Some(key[..end].to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
