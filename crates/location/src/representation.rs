//! Bytes as they are answered: with an `ETag`, compressed for those who take it, and not at all for those who have them.

use std::io::Write;
use std::sync::OnceLock;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bridge_api::Digest;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Below this, the headers of a compressed answer cost what it saves.
const MIN_COMPRESSED: usize = 512;
/// So much of a digest is enough to tell contents apart.
const ETAG_DIGITS: usize = 32;
const GZIP_SUFFIX: &str = "-gzip";

/// Whether an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// With gzip.
    Gzip,
}

impl Encoding {
    /// What a client takes.
    pub fn accepted_by(headers: &HeaderMap) -> Self {
        let mut gzip = None;
        let mut any = None;
        let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in values.flat_map(|value| value.split(',')) {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            match coding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = Some(is_wanted(parameters)),
                "*" => any = Some(is_wanted(parameters)),
                _ => {}
            }
        }
        if gzip.or(any).unwrap_or(false) { Self::Gzip } else { Self::Identity }
    }
}

fn is_wanted(parameters: &str) -> bool {
    let quality = parameters.trim().strip_prefix("q=").and_then(|quality| quality.trim().parse::<f32>().ok());
    quality.is_none_or(|quality| quality > 0.0)
}

/// Some bytes and what identifies them.
#[derive(Debug)]
pub struct Representation {
    bytes: Bytes,
    digest: Digest,
    /// Made when first asked for, and kept only when it is worth its memory.
    gzip: OnceLock<Option<Bytes>>,
}

impl Representation {
    /// Bytes that `digest` changes with.
    pub fn new(bytes: Vec<u8>, digest: Digest) -> Self {
        // A boxed slice has no spare room, of which 100,000 entries would have much.
        Self { bytes: bytes.into_boxed_slice().into(), digest, gzip: OnceLock::new() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What changes when the bytes change.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Compresses now what would else be compressed for the first answer in `encoding`.
    pub fn prepare(&self, encoding: Encoding) {
        let _ = self.encoded(encoding);
    }

    /// The answer to a request with these headers.
    pub fn answer(&self, content_type: &'static str, request: &HeaderMap) -> Response {
        let (bytes, coding) = self.encoded(Encoding::accepted_by(request));
        let tag = self.tag();
        let suffix = if coding.is_some() { GZIP_SUFFIX } else { "" };
        let validators: [(HeaderName, HeaderValue); 3] = [
            (ETAG, header(&format!("\"{tag}{suffix}\""))),
            (VARY, HeaderValue::from_static("accept-encoding")),
            // To be kept, but not to be used without asking.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        if names(request, tag) {
            return (StatusCode::NOT_MODIFIED, validators).into_response();
        }
        let mut response = (validators, Body::from(bytes)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(coding) = coding {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        response
    }

    fn encoded(&self, encoding: Encoding) -> (Bytes, Option<&'static str>) {
        if encoding == Encoding::Gzip
            && let Some(gzip) = self.gzip.get_or_init(|| compress(&self.bytes))
        {
            return (gzip.clone(), Some("gzip"));
        }
        (self.bytes.clone(), None)
    }

    fn tag(&self) -> &str {
        let digest = self.digest.as_str();
        digest.get(..ETAG_DIGITS).unwrap_or(digest)
    }
}

fn header(text: &str) -> HeaderValue {
    // Digests of ours are hexadecimal.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// Whether `If-None-Match` names what `tag` identifies, compressed or not. Without that header nothing is named.
fn names(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|item| {
        let item = item.strip_prefix("W/").unwrap_or(item);
        let quoted = item.strip_prefix('"').and_then(|item| item.strip_suffix('"'));
        item == "*" || quoted.is_some_and(|text| text.strip_suffix(GZIP_SUFFIX).unwrap_or(text) == tag)
    })
}

fn compress(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < MIN_COMPRESSED {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::default());
    encoder.write_all(bytes).ok()?;
    let compressed = encoder.finish().ok()?;
    let pays = compressed.len() <= bytes.len() / 5 * 4;
    pays.then(|| compressed.into_boxed_slice().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (values, expected) in [
            (&[][..], Encoding::Identity),
            (&["gzip"], Encoding::Gzip),
            (&["deflate, GZIP;q=0.5"], Encoding::Gzip),
            (&["br", "gzip"], Encoding::Gzip),
            (&["*"], Encoding::Gzip),
            (&["identity"], Encoding::Identity),
            (&["gzip;q=0, *"], Encoding::Identity),
            (&["gzip; q=0.0"], Encoding::Identity),
            (&["*;q=0"], Encoding::Identity),
            (&["gzipped"], Encoding::Identity),
        ] {
            assert_eq!(Encoding::accepted_by(&headers(&ACCEPT_ENCODING, values)), expected, "{values:?}");
        }
    }

    #[test]
    fn only_a_sent_tag_that_fits_is_a_match() {
        for (values, expected) in [
            (&[][..], false),
            (&["\"abc\""], true),
            (&["W/\"abc\""], true),
            (&["\"abc-gzip\""], true),
            (&["\"x\", \"abc\""], true),
            (&["\"x\"", "\"abc\""], true),
            (&["*"], true),
            (&["abc"], false),
            (&["\"\""], false),
            (&["\"abcd\""], false),
        ] {
            assert_eq!(names(&headers(&IF_NONE_MATCH, values), "abc"), expected, "{values:?}");
        }
    }

    #[test]
    fn what_compression_does_not_shrink_is_answered_as_it_is() {
        let request = headers(&ACCEPT_ENCODING, &["gzip"]);
        let answer = |bytes: Vec<u8>| {
            let digest = Digest::of(&bytes);
            Representation::new(bytes, digest).answer("text/plain", &request)
        };
        assert!(answer(vec![b'a'; 100]).headers().get(CONTENT_ENCODING).is_none(), "too small");
        assert_eq!(answer(vec![b'a'; 10_000]).headers()[CONTENT_ENCODING], "gzip");
        // Digests of digests are as good as random.
        let random = (0_u32..200).map(|n| Digest::of(&n.to_le_bytes()).as_str().to_owned()).collect::<String>();
        let random = random.as_bytes().chunks_exact(2).map(|pair| pair[0] ^ (pair[1] << 4)).collect();
        assert!(answer(random).headers().get(CONTENT_ENCODING).is_none(), "no gain");
    }
}
